"""Localizers against each other."""
