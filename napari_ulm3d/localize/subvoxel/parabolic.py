"""`parabolic`: the apex of a paraboloid through the logarithm of the 3 x 3 x 3 neighbours.

The logarithm of a Gaussian is a paraboloid, so the apex is exact for a Gaussian. The
correlation map is used if available, otherwise the envelope. The paraboloid is
fitted by least squares without cross terms: slope and curvature along an axis are the
means over the nine lines of voxels along it.
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

__all__ = ["LOCALIZER", "parabolic"]

NAME = "parabolic"


def parabolic(stack: Stack, candidates: Candidates, config: LocalizeConfig) -> Fits:
    """Quadratic interpolation of log |correlation| (or log envelope) around each maximum."""
    image = stack.envelope if stack.correlation is None else stack.correlation

    def kernel(shift: NDArray[np.float64], state: NDArray[np.int8]) -> None:
        _parabolic(image, candidates.frame, candidates.voxel, shift, state)

    return collect(candidates, kernel, config)


@njit(cache=True, parallel=True, nogil=True)
def _parabolic(image, frame, voxel, shift, state):  # type: ignore[no-untyped-def]
    for n in prange(frame.size):
        volume = image[frame[n]]
        reach = np.zeros(3, np.int64)
        if not symmetric_half(volume.shape, voxel[n], np.array([1, 1, 1]), reach):
            state[n] = EDGE
            continue
        z0, y0, x0 = voxel[n]
        least = max(1e-6 * volume[z0, y0, x0], 1e-30)
        slope, bend = np.zeros(3), np.zeros(3)
        for dz in range(-reach[0], reach[0] + 1):
            for dy in range(-reach[1], reach[1] + 1):
                for dx in range(-reach[2], reach[2] + 1):
                    value = np.log(max(volume[z0 + dz, y0 + dy, x0 + dx], least))
                    for axis, d in enumerate((dz, dy, dx)):
                        slope[axis] += 0.5 * d * value
                        bend[axis] += value if d else -2.0 * value
        for axis in range(3):
            if reach[axis] == 0:
                continue
            if bend[axis] < 0.0:
                shift[n, axis] = -slope[axis] / bend[axis]
            else:
                state[n] = BAD


LOCALIZER = parabolic
