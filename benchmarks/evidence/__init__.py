"""Check the quality measures reported by a run against the ground truth."""
