"""Which localizers there are, found by reading their files."""
