"""The completion network on all voxels, trained as briefly as the sparse one."""
