"""Blocks computed by Dask workers, on this computer or on a cluster."""
