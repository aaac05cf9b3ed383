"""What the panels share, and what a run leaves; no viewer."""
