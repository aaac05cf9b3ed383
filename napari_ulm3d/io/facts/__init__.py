"""Spacing, rate and wave of an acquisition: as files name them, from coordinates, from a sidecar."""
