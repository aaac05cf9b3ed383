"""TIFF and OME-TIFF reader and writer."""
