"""Which voxels hold data: scanners and scan conversion fill the rest of the box with a constant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["valid_voxels"]


def valid_voxels(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels that hold data: whose value changes from frame to frame.

    Outside the field of view, and where an acquisition was masked, a voxel is zero or some
    other constant in all frames. It counts neither as signal nor as noise: the median over a
    volume that is masked for the most part would be zero.

    Parameters
    ----------
    frames
        (t, z, y, x), a block as it was read: a clutter filter turns a constant into something
        else. Of a single frame, voxels that are not zero.

    Returns
    -------
    (z, y, x) bool.
    """
    shape = frames.shape[1:]
    if len(frames) == 1:
        return np.asarray(frames[0] != 0)
    # Voxels that were the same so far. Noise changes nearly all of them in the second frame.
    same = np.arange(int(np.prod(shape)))
    first = frames[0].reshape(-1)
    for frame in frames[1:]:
        if not same.size:
            break
        same = same[frame.reshape(-1)[same] == first[same]]
    valid = np.ones(shape, np.bool_)
    valid.reshape(-1)[same] = False
    return valid
