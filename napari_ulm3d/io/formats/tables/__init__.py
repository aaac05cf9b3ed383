"""Parquet and CSV tables, read and written."""
