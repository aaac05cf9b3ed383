"""M-mode: the envelope along one axial line over time, with and without motion correction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.motion.block_motion import BlockMotion

__all__ = ["m_mode"]


def m_mode(
    frames: NDArray[Any], spacing_um: tuple[float, float, float], motion: BlockMotion | None = None
) -> NDArray[np.float32]:
    """Envelope along the central axial line, (z, t).

    Parameters
    ----------
    frames
        (t, z, y, x) unfiltered frames.
    spacing_um
        Voxel spacing along z, y, x.
    motion
        The line follows this motion of the tissue; None: it stays where it is.
    """
    from scipy.ndimage import map_coordinates

    n_frames, depth, *across = frames.shape
    line = np.zeros((depth, 3))
    line[:, 0] = np.arange(depth)
    line[:, 1:] = [n // 2 for n in across]
    out = np.empty((depth, n_frames), np.float32)
    for k, frame in enumerate(frames):
        at = line
        if motion is not None:
            at = line + motion.displacement_um[k] / spacing_um
            if motion.deformed is not None:
                local = motion.deformed.deformation.at(line, np.full(depth, k))
                at = at + local / spacing_um
        out[:, k] = map_coordinates(np.abs(frame), at.T, np.float32, order=1, mode="nearest")
    return out
