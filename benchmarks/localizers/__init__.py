"""Comparison of localizers."""
