"""Shapes drawn by the user, kept visible in every section."""
