"""Common parts of all formats: stored arrays and their axes, facts beside them, and limits."""
