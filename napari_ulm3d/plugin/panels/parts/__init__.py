"""Parts of panels that are large enough for a file of their own."""
