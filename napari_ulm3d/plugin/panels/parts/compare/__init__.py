"""Parts of the widget *Compare & measure*: two maps together, and measures on them."""
