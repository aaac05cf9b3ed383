"""MATLAB version 5 to 7, read and written."""
