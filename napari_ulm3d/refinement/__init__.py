"""Sparse networks on whole vessel maps: completion, super-resolution, segmentation.

What they say is predicted, never measured: a `RefinedMap` is an object of its own, and what
measures a map (FSC, saturation, scores) refuses one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d._lazy import lazily

if TYPE_CHECKING:
    from napari_ulm3d.refinement.cost import RefiningCost, refining_cost
    from napari_ulm3d.refinement.refined import RefinedMap
    from napari_ulm3d.refinement.refining import refine
    from napari_ulm3d.refinement.sources import image_map

__all__ = ["RefinedMap", "RefiningCost", "image_map", "refine", "refining_cost"]

# Loaded when first used: `refine` brings torch.
__getattr__ = lazily(
    globals(),
    {
        "RefinedMap": "refined",
        "RefiningCost": "cost",
        "image_map": "sources",
        "refine": "refining",
        "refining_cost": "cost",
    },
)
