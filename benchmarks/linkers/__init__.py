"""Linkers against each other."""
