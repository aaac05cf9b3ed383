"""How strong the noise is at each depth, apart from tissue and bubbles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["relative_noise"]

_PAIRS = 16


def relative_noise(frames: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Power of the noise at each depth relative to that at the median depth, at least 1.

    Attenuation and the gain that makes up for it raise the noise with depth. It is measured in differences of successive
    frames: noise is new in every frame, while what is left of tissue changes slowly and hardly counts. The
    median over a depth and its neighbours (a twentieth of the depths on either side) ignores bubbles.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter; voxels that never change contain no data.

    Returns
    -------
    (z,) float64; ones if there are fewer than two frames.
    """
    n, depths = frames.shape[:2]
    power = np.full(depths, np.nan)
    if n > 1:
        first = np.arange(0, n - 1, max(1, (n - 1) // _PAIRS))
        change = np.abs(frames[first + 1] - frames[first])
        reach = max(1, depths // 20)
        for z in range(depths):
            planes = change[:, max(0, z - reach) : z + reach + 1]
            if (planes > 0).any():
                power[z] = np.median(planes[planes > 0]) ** 2
    known = np.isfinite(power)
    if not known.any():
        return np.ones(depths)
    return np.asarray(np.where(known, np.maximum(power / np.median(power[known]), 1.0), 1.0))
