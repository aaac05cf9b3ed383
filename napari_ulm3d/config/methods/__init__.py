"""The available localizers, found by reading their files."""
