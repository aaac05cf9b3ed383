"""Scans run and measured, several at a time, and kept."""
