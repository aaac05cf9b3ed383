"""Sparse networks on whole vessel maps: completion, super-resolution, segmentation.

Their output is predicted, not measured. A `RefinedMap` is therefore a separate type, and functions
that measure maps (FSC, saturation, scores) reject it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d._lazy import lazily

if TYPE_CHECKING:
    from napari_ulm3d.refinement.refined import RefinedMap
    from napari_ulm3d.refinement.refining import refine
    from napari_ulm3d.refinement.sources import image_map

__all__ = ["RefinedMap", "image_map", "refine"]

# Loaded on first use, since `refine` imports torch.
__getattr__ = lazily(
    globals(),
    {
        "RefinedMap": "refined",
        "image_map": "sources",
        "refine": "refining",
    },
)
