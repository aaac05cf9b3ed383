"""Sparse networks on whole vessel maps: completion, super-resolution, segmentation.

Their output is predicted, never measured: a `RefinedMap` is a type of its own, and whatever
measures a map (FSC, saturation, scores) refuses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d._lazy import lazily

if TYPE_CHECKING:
    from napari_ulm3d.refinement.refined import RefinedMap
    from napari_ulm3d.refinement.refining import refine
    from napari_ulm3d.refinement.sources import image_map

__all__ = ["RefinedMap", "image_map", "refine"]

# Loaded when first used: `refine` brings torch.
__getattr__ = lazily(
    globals(),
    {
        "RefinedMap": "refined",
        "image_map": "sources",
        "refine": "refining",
    },
)
