"""Bubbles in filtered frames: detection and sub-voxel localization."""

from __future__ import annotations

from napari_ulm3d.localize.conventional import LocalizedFrames, localize
from napari_ulm3d.localize.rejections import Rejections

__all__ = ["LocalizedFrames", "Rejections", "localize"]
