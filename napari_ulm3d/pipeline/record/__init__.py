"""Files of a run in its folder: lock, blocks, calibration."""
