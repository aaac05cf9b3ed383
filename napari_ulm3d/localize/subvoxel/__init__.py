"""Sub-voxel localizers, one a file: from a maximum to a position."""
