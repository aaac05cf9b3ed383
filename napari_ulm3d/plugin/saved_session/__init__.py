"""Saving the state of a viewer in a session file, and restoring it."""
