"""Opening an acquisition: its files in order, its frames, and what the files say of it."""
