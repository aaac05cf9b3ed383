"""MATLAB version 5 to 7 reader and writer."""
