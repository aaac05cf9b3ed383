"""Sparse networks on whole vessel maps: completion, super-resolution, segmentation.

What they say is predicted, never measured: a `RefinedMap` is an object of its own, and nothing
that measures a map (FSC, saturation, scores) takes one.
"""
