"""Power Doppler: the mean power of the clutter-filtered frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["power_doppler"]


def power_doppler(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Mean over frames of the squared magnitude after the clutter filter.

    Parameters
    ----------
    frames
        (t, z, y, x) complex or real.

    Returns
    -------
    (z, y, x) float32, in the squared unit of the frames.
    """
    if frames.ndim != 4 or not len(frames):
        raise ValueError(f"power Doppler needs frames (t, z, y, x), not {frames.shape}")
    total = np.zeros(frames.shape[1:], np.float64)
    for frame in frames:  # one frame at a time, to avoid an array as large as the block
        total += np.square(frame.real, dtype=np.float64)
        if frame.dtype.kind == "c":
            total += np.square(frame.imag, dtype=np.float64)
    return (total / len(frames)).astype(np.float32)
