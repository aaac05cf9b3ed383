"""What all readers share: choosing the array and its axes, units, sidecar, lazy frames."""
