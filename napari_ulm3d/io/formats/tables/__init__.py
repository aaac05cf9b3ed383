"""Reader and writer of Parquet and CSV tables."""
