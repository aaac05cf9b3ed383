"""Zarr and OME-Zarr, read and written."""
