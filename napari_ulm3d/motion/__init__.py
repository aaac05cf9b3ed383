"""Tissue motion: estimated on unfiltered frames and subtracted from the localizations."""

from __future__ import annotations

from napari_ulm3d.motion.broken import broken_frames
from napari_ulm3d.motion.gain import gains, rms_um
from napari_ulm3d.motion.moving import moved_back
from napari_ulm3d.motion.rigid import estimate_motion, offset_um

__all__ = ["broken_frames", "estimate_motion", "gains", "moved_back", "offset_um", "rms_um"]
