"""Generative sparse U-Nets on whole vessel volumes: completion, super-resolution, segmentation."""
