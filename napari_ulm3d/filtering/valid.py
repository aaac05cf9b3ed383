"""Voxels with data: scanners and scan conversion fill the rest of the box with a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["valid_voxels"]


def valid_voxels(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Find voxels with data, whose value changes between frames.

    Outside the field of view, and where an acquisition was masked, a voxel is zero or another
    constant in all frames. It counts neither as signal nor as noise: otherwise the median over a
    mostly masked volume would be zero.

    Parameters
    ----------
    frames
        (t, z, y, x), an unfiltered block: a clutter filter changes constants. For a single frame,
        non-zero voxels are returned.

    Returns
    -------
    (z, y, x) bool.
    """
    shape = frames.shape[1:]
    if len(frames) == 1:
        return np.asarray(frames[0] != 0)
    # Voxels unchanged so far. Noise changes nearly all of them in the second frame.
    same = np.arange(int(np.prod(shape)))
    first = frames[0].reshape(-1)
    for frame in frames[1:]:
        if not same.size:
            break
        same = same[frame.reshape(-1)[same] == first[same]]
    valid = np.ones(shape, np.bool_)
    valid.reshape(-1)[same] = False
    return valid
