"""Reader and writer of NumPy arrays and archives."""
