"""File formats, one folder each, with reader, safety checks and writer together."""
