"""NIfTI, read and written."""
