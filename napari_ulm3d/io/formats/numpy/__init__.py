"""NumPy arrays and archives, read and written."""
