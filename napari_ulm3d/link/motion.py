"""Smoothed positions and velocities from the points of chains, one row per frame.

Gaps are first interpolated linearly. Then a moving average runs along each track: the
window is centred and shrinks towards both ends (n, then ..., 5, 3, 1 points), like
MATLAB's `smooth`, which PALA uses (Heiles et al., Nat. Biomed. Eng. 2022). A straight
track at constant speed is therefore unchanged, including its ends. Velocities
are central differences of the smoothed positions, one-sided at the two ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["fill_gaps", "smooth_and_differentiate"]


@njit(cache=True, nogil=True)
def fill_gaps(
    rows: NDArray[np.float64], first: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Fill the missing frames of every track by linear interpolation.

    Parameters
    ----------
    rows
        (n, c) one row per point; column 0 is the frame, ascending within a track. All other
        columns are interpolated.
    first
        (tracks + 1,) index of each track's first row, followed by n.

    Returns
    -------
    The same two arrays, with one row per frame.
    """
    n_tracks = first.size - 1
    filled_first = np.zeros(n_tracks + 1, np.int64)
    for track in range(n_tracks):
        span = rows[first[track + 1] - 1, 0] - rows[first[track], 0] + 1
        filled_first[track + 1] = filled_first[track] + np.int64(span)
    filled = np.empty((filled_first[-1], rows.shape[1]))
    out = 0
    for track in range(n_tracks):
        for i in range(first[track], first[track + 1]):
            filled[out] = rows[i]
            out += 1
            if i + 1 < first[track + 1]:
                apart = np.int64(rows[i + 1, 0] - rows[i, 0])
                for k in range(1, apart):
                    part = k / apart
                    filled[out] = (1.0 - part) * rows[i] + part * rows[i + 1]
                    filled[out, 0] = rows[i, 0] + k
                    out += 1
    return filled, filled_first


@njit(cache=True, nogil=True)
def smooth_and_differentiate(
    position: NDArray[np.float64], first: NDArray[np.int64], window: int, interval: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Moving average of each track's positions, and its time derivative.

    Parameters
    ----------
    position
        (n, 3) one row per frame, without gaps.
    first
        (tracks + 1,) index of each track's first row, followed by n.
    window
        Number of points averaged, centred; an even number is reduced by one.
    interval
        Time between rows.

    Returns
    -------
    (n, 3) smoothed positions and (n, 3) derivatives (zero for a track with one row).
    """
    half = (window - 1) // 2
    smooth = np.empty_like(position)
    velocity = np.zeros_like(position)
    for track in range(first.size - 1):
        start, last = first[track], first[track + 1] - 1
        for i in range(start, last + 1):
            reach = min(half, i - start, last - i)
            for axis in range(position.shape[1]):
                # Sum offsets from the centre, so that a common origin does not cost precision.
                total = 0.0
                for k in range(i - reach, i + reach + 1):
                    total += position[k, axis] - position[i, axis]
                smooth[i, axis] = position[i, axis] + total / (2 * reach + 1)
        for i in range(start, last + 1):
            low, high = max(i - 1, start), min(i + 1, last)
            if high > low:
                for axis in range(position.shape[1]):
                    change = smooth[high, axis] - smooth[low, axis]
                    velocity[i, axis] = change / ((high - low) * interval)
    return smooth, velocity
