"""Trace raw centrelines in a map: mask, skeleton, spurs, gaps."""
