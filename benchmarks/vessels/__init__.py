"""Refined vessel maps beside rivals that need no network, and what they cost."""
