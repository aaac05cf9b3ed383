"""NIfTI reader and writer."""
