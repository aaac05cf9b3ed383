"""Tracks as a table and as histograms."""
