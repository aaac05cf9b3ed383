"""Noise level at each depth, over the voxels that contain data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["noise_by_depth"]

_MEDIAN_OF_RAYLEIGH = float(np.sqrt(np.log(2)))
"""Median magnitude of complex Gaussian noise over its rms."""
_FEW = 16  # frames


def noise_by_depth(
    frames: NDArray[Any], valid: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Rms noise of filtered frames at each depth, from the median magnitude.

    Bubbles fill few voxels, so the median is that of the noise. Each depth is pooled with its
    neighbours (a twentieth of the depths on either side), since a plane may contain few valid
    voxels. Depths without any are interpolated.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter.
    valid
        (z, y, x) voxels that contain data; None: all.

    Returns
    -------
    (z,) float64; zeros if no voxel contains data.
    """
    some = np.abs(frames[:: max(1, len(frames) // _FEW)])
    n = some.shape[1]
    reach = max(1, n // 20)
    level = np.full(n, np.nan)
    for z in range(n):
        planes = slice(max(0, z - reach), z + reach + 1)
        values = some[:, planes]
        if valid is not None:
            values = values[:, valid[planes]]
        if values.size:
            level[z] = np.median(values) / _MEDIAN_OF_RAYLEIGH
    known = np.flatnonzero(np.isfinite(level))
    if not known.size:
        return np.zeros(n)
    return np.asarray(np.interp(np.arange(n), known, level[known]))
