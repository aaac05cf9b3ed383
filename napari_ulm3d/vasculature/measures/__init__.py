"""Measure lengths, diameters, speeds and flows from centrelines and tracks."""
