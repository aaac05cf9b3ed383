"""Opening an acquisition: the order of its files, its frames and its metadata."""
