"""Tissue motion: estimated on unfiltered frames and subtracted from the localizations."""

from __future__ import annotations

from napari_ulm3d.motion.block_motion import BlockMotion
from napari_ulm3d.motion.broken import broken_frames
from napari_ulm3d.motion.deformable import deformation_between
from napari_ulm3d.motion.estimate import estimate_motion
from napari_ulm3d.motion.gain import bends, bent_um, gains, rms_um
from napari_ulm3d.motion.m_mode import m_mode
from napari_ulm3d.motion.moving import moved_back
from napari_ulm3d.motion.rigid import offset_um

__all__ = [
    "BlockMotion",
    "bends",
    "bent_um",
    "broken_frames",
    "deformation_between",
    "estimate_motion",
    "gains",
    "m_mode",
    "moved_back",
    "offset_um",
    "rms_um",
]
