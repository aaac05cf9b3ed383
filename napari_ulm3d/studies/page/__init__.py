"""A study as one self-contained page."""
