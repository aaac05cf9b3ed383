"""Positions of possibly missed bubbles: beyond the ends of tracks, and in the residual."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.localize.detect import detect_maxima
from napari_ulm3d.synthesis.bubbles import Bubbles

__all__ = ["continued", "left_over"]

_LOOK_BACK = 5
"""Number of rows at the end of a track from which its velocity is estimated."""
_TELLS = 4
"""Tracks with fewer rows are not continued."""
_SATELLITE = 0.2
"""Weaker residuals beside a bubble are attributed to errors of its image."""
_OVER_NOISE = 3.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def continued(bubbles: Bubbles, shape: tuple[int, int, int], apart: Floats) -> tuple[Ints, Floats]:
    """Extrapolate each track by one frame at both ends.

    Parameters
    ----------
    shape
        Shape of a frame, voxels.
    apart
        (3,) semi-axes within which another bubble already occupies the position.
    """
    _, length = bubbles.tracks()
    size = np.array(shape, np.int64)
    return _continued(
        bubbles.frame, bubbles.first, bubbles.place, bubbles.before, bubbles.after, length, size,
        apart,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _continued(frame, first, place, before, after, length, size, apart):  # type: ignore[no-untyped-def]
    n = frame.size
    at, where, many = np.empty(2 * n, np.int64), np.empty((2 * n, 3)), 0
    for k in range(n):
        if length[k] < _TELLS:
            continue
        for way in range(2):
            on, back = (after, before) if way == 0 else (before, after)
            t = frame[k] + (1 if way == 0 else -1)
            if on[k] >= 0 or t < 0 or t >= first.size - 1:
                continue
            # Linear least squares through the last positions, extrapolated by one frame.
            mean, slope, square, rows, row = np.zeros(3), np.zeros(3), 0.0, 0, k
            while row >= 0 and rows < _LOOK_BACK:
                rows += 1
                row = back[row]
            row = k
            for i in range(rows):
                x = 0.5 * (rows - 1) - i
                square += x * x
                for a in range(3):
                    mean[a] += place[row, a] / rows
                    slope[a] += x * place[row, a]
                row = back[row]
            to = mean + slope / square * (0.5 * (rows - 1) + 1)
            free = True
            for a in range(3):
                free &= -0.5 <= to[a] < size[a] - 0.5
            for j in range(first[t], first[t + 1]):
                far = 0.0
                for a in range(3):
                    far += ((place[j, a] - to[a]) / apart[a]) ** 2
                free &= far > 1.0
            if free:
                at[many], where[many] = t, to
                many += 1
    return at[:many], where[:many]


def left_over(
    left: NDArray[np.complex64], bubbles: Bubbles, half: Ints, noise_rms: float, min_snr_db: float
) -> tuple[Ints, Floats]:
    """Significant maxima of the residual that are not side lobes of a brighter bubble.

    Parameters
    ----------
    left
        (t, z, y, x) frames minus all images.
    half
        (3,) half width of the images' window.
    noise_rms
        Noise level.
    min_snr_db
        Minimum contrast relative to the residual around a maximum.
    """
    z, y, x = (int(2 * h + 1) for h in half)
    found, _ = detect_maxima(np.abs(left), (z, y, x), min_snr_db, 1_000_000)
    keep = found.peak > _OVER_NOISE * noise_rms
    frame, place = found.frame[keep].astype(np.int64), found.voxel[keep].astype(np.float64)
    brightest = _brightest(
        frame, place, bubbles.first, bubbles.place, np.abs(bubbles.amplitude), half
    )
    keep = found.peak[keep] >= _SATELLITE * brightest
    return frame[keep], place[keep]


@njit(cache=True, nogil=True)
def _brightest(frame, at, first, place, strength, half):  # type: ignore[no-untyped-def]
    """Largest amplitude of the bubbles whose slightly enlarged window contains a position."""
    out = np.zeros(frame.size)
    for n in range(frame.size):
        for k in range(first[frame[n]], first[frame[n] + 1]):
            near = True
            for a in range(3):
                near &= abs(place[k, a] - at[n, a]) <= half[a] + 2
            if near:
                out[n] = max(out[n], strength[k])
    return out
