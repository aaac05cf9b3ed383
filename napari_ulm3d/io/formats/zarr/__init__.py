"""Zarr and OME-Zarr reader and writer."""
