"""Acquisitions with truth that other physics made, other grids, other tissue: `python -m benchmarks.zoo`."""
