"""Sub-voxel localizers, one per file: from a maximum to a position."""
