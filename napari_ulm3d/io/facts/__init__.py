"""Spacing, rate and wavelength of an acquisition: named in files, from coordinates or a sidecar."""
