"""The tissue motion of a block, as the settings ask for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from napari_ulm3d.config import MotionConfig
from napari_ulm3d.motion.block_motion import BlockMotion
from napari_ulm3d.motion.deformable import estimate_deformation
from napari_ulm3d.motion.rigid import rigid_motion

__all__ = ["estimate_motion"]


def estimate_motion(
    frames: NDArray[Any],
    spacing_um: tuple[float, float, float],
    rate_hz: float,
    config: MotionConfig,
) -> BlockMotion:
    """Estimate the tissue motion in a block relative to the block's mean image.

    Parameters
    ----------
    frames
        (t, z, y, x) as read, including tissue; complex64, or float32 for an envelope.
    spacing_um
        Voxel spacing along z, y, x.
    rate_hz
        Frames per second.
    config
        With the method ``rigid``, the deformation is not estimated.
    """
    motion = rigid_motion(frames, spacing_um, rate_hz, config)
    if config.method == "rigid" or motion.image is None:
        return motion
    deformed = estimate_deformation(
        frames,
        motion.displacement_um,
        motion.broken,
        motion.image,
        spacing_um,
        rate_hz,
        config.smoothing_s,
    )
    return replace(motion, deformed=deformed)
