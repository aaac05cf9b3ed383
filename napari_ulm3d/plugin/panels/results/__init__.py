"""Panels that work on a finished result: comparing, curating, refining, measuring vessels."""
