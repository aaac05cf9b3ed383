"""The level of the noise, depth by depth, on voxels that hold data."""

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
    """Rms of the noise of filtered frames in every plane of one depth, from the median magnitude.

    Bubbles fill a small share of the voxels, so the median is the noise's. Each depth is taken
    together with its neighbours (a twentieth of the depths on either side), since few voxels of one
    plane may hold data; depths without any get the level of the nearest that has.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter.
    valid
        (z, y, x) voxels that hold data; None: all.

    Returns
    -------
    (z,) float64; zeros where no voxel holds data.
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
