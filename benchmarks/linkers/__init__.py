"""Comparison of linkers."""
