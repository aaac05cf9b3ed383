"""`centroid`: the intensity-weighted mean position over the patch (weighted average).

The mean of the patch is subtracted from the envelope first and negative values are set to
zero, since a background would pull the centroid to the middle of the window.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates
from napari_ulm3d.localize.subvoxel.fits import Fits, Stack
from napari_ulm3d.localize.subvoxel.patches import BAD, EDGE, collect, symmetric_half

__all__ = ["LOCALIZER", "centroid"]

NAME = "centroid"


def centroid(stack: Stack, candidates: Candidates, config: LocalizeConfig) -> Fits:
    """Weighted average over the patch (Heiles et al. 2022 call it WA)."""
    half = np.asarray(config.patch, np.int64) // 2
    floor = candidates.peak / candidates.contrast

    def kernel(shift: NDArray[np.float64], state: NDArray[np.int8]) -> None:
        _centroid(stack.envelope, candidates.frame, candidates.voxel, floor, half, shift, state)

    return collect(candidates, kernel, config)


@njit(cache=True, parallel=True, nogil=True)
def _centroid(image, frame, voxel, floor, half, shift, state):  # type: ignore[no-untyped-def]
    for n in prange(frame.size):
        volume = image[frame[n]]
        reach = np.zeros(3, np.int64)
        if not symmetric_half(volume.shape, voxel[n], half, reach):
            state[n] = EDGE
            continue
        z0, y0, x0 = voxel[n]
        total, mz, my, mx = 0.0, 0.0, 0.0, 0.0
        for dz in range(-reach[0], reach[0] + 1):
            for dy in range(-reach[1], reach[1] + 1):
                for dx in range(-reach[2], reach[2] + 1):
                    weight = max(volume[z0 + dz, y0 + dy, x0 + dx] - floor[n], 0.0)
                    total += weight
                    mz += weight * dz
                    my += weight * dy
                    mx += weight * dx
        if total > 0.0:
            shift[n, 0], shift[n, 1], shift[n, 2] = mz / total, my / total, mx / total
        else:
            state[n] = BAD


LOCALIZER = centroid
