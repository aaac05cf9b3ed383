"""Acquisitions with ground truth from other physics, grids and tissue: `python -m benchmarks.zoo`."""
