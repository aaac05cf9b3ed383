"""Refined vessel maps compared with methods without a network, and their cost."""
