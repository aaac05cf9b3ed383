"""Estimation of tissue motion, and maps with and without correction."""
