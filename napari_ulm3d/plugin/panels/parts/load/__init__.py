"""Parts of the widget *Load*: what was typed, what the file says, its blocks."""
