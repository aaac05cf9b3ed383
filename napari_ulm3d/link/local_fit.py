"""Smooth tracks by local polynomials whose window is a distance along the track, not a time.

A vessel bends over a distance, and the errors of localizations shrink with the number of frames, so a slow bubble can be
averaged over more frames than a fast one. At every point, a parabola in time is fitted to the points around it,
with Gaussian weights (local regression; Cleveland, J. Am. Stat. Assoc. 74:829, 1979).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["local_parabolas"]

_SPEED_FRAMES = 10
_LEAST_FRAMES, _MOST_FRAMES = 1.0, 60.0
_REACH = 3.0


@njit(cache=True, nogil=True)
def local_parabolas(
    position: NDArray[np.float64],
    first: NDArray[np.int64],
    distance: float,
) -> NDArray[np.float64]:
    """Positions after local regression along each track.

    Parameters
    ----------
    position
        (n, 3) one row per frame, without gaps.
    first
        (tracks + 1,) index of each track's first row, followed by n.
    distance
        Standard deviation of the weights along the track, in the unit of `position`. In frames, it is
        at least 1 and at most 60; the speed is that of the mean motion over ten frames to
        either side.

    Returns
    -------
    NDArray
        (n, 3). A parabola at constant frame intervals is unchanged.
    """
    out = position.copy()
    for track in range(first.size - 1):
        a, b = first[track], first[track + 1]
        if b - a < 4:
            continue
        for i in range(a, b):
            low, high = max(a, i - _SPEED_FRAMES), min(b - 1, i + _SPEED_FRAMES)
            step = position[high] - position[low]
            speed = np.sqrt((step * step).sum()) / (high - low)
            width = min(max(distance / max(speed, 1e-9), _LEAST_FRAMES), _MOST_FRAMES)
            reach = int(np.ceil(_REACH * width))
            out[i] = _at(position, max(a, i - reach), min(b, i + reach + 1), i, width)
    return out


@njit(cache=True, nogil=True)
def _at(
    position: NDArray[np.float64], low: int, high: int, centre: int, width: float
) -> NDArray[np.float64]:
    """The value at `centre` of the parabola fitted to the rows from `low` to `high`."""
    moments = np.zeros(5)
    sums = np.zeros((3, 3))
    for k in range(low, high):
        t = (k - centre) / width
        power = np.exp(-0.5 * t * t)
        for degree in range(5):
            moments[degree] += power
            if degree < 3:
                # Offsets from the centre, so that a distant origin does not cost precision.
                sums[degree] += power * (position[k] - position[centre])
            power *= t
    m0, m1, m2, m3, m4 = moments
    # First row of the inverse of the moment matrix.
    c0, c1, c2 = m2 * m4 - m3 * m3, m2 * m3 - m1 * m4, m1 * m3 - m2 * m2
    determinant = m0 * c0 + m1 * c1 + m2 * c2
    if determinant < 1e-9:
        return position[centre].copy()
    return position[centre] + (c0 * sums[0] + c1 * sums[1] + c2 * sums[2]) / determinant
