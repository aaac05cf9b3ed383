"""What a run keeps in its folder: its lock, its blocks, what it measured first."""
