"""Parts of the *Load* widget: values typed, facts from the file, blocks."""
