"""Localizers on crowded scenes from a generator not used in training."""
