"""Centrelines: smooth, evenly sampled curves, centred on the tracks around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_ulm3d._caches import njit

__all__ = ["arc_length", "middle", "recentred", "resampled", "tangents", "tangents_of"]

# A map has ten thousands of short lines: compiled functions avoid numpy's overhead per call.


@njit(cache=True, nogil=True)
def middle(values: NDArray[np.float64]) -> float:
    """Median of (k,) values."""
    return float(np.median(values))


@njit(cache=True, nogil=True)
def arc_length(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) distance along a polyline (k, 3) from its first point."""
    arc = np.zeros(path.shape[0])
    for i in range(1, path.shape[0]):
        square = 0.0
        for k in range(path.shape[1]):
            square += (path[i, k] - path[i - 1, k]) ** 2
        arc[i] = arc[i - 1] + np.sqrt(square)
    return arc


def tangents(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k, 3) unit vectors along a polyline."""
    return tangents_of([path])


def tangents_of(paths: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(sum of k, 3) unit vectors along polylines, one after the other."""
    points = np.concatenate(paths)
    sizes = np.array([len(path) for path in paths])
    stop = np.repeat(np.cumsum(sizes), sizes)
    row = np.arange(len(points))
    before = np.maximum(row - 1, stop - np.repeat(sizes, sizes))
    direction = points[np.minimum(row + 1, stop - 1)] - points[before]
    norm = np.sqrt((direction**2).sum(axis=1, keepdims=True))
    return np.asarray(direction / np.where(norm > 0, norm, 1.0))


@njit(cache=True, nogil=True)
def resampled(
    path: NDArray[np.float64], step_um: float, smoothing_um: float
) -> NDArray[np.float64]:
    """Resample a polyline in even steps of about `step_um` and smooth it; its ends stay fixed.

    The deviation from the chord is smoothed by a Gaussian of standard deviation `smoothing_um`.
    This keeps straight lines and removes voxel steps, which make a diagonal 8 to 15 % too long.
    Short paths are smoothed less.
    """
    arc = arc_length(path)
    length = arc[-1]
    if length == 0:
        return np.stack((path[0], path[-1]))
    n = max(2, int(np.rint(length / step_um)) + 1)
    even = np.empty((n, 3))
    k = 0
    for i in range(n):
        at = length * i / (n - 1)
        while k < len(path) - 2 and arc[k + 1] <= at:
            k += 1
        piece = arc[k + 1] - arc[k]
        share = min((at - arc[k]) / piece, 1.0) if piece > 0 else 0.0
        even[i] = (1 - share) * path[k] + share * path[k + 1]
    sigma = min(smoothing_um, length / 6) / (length / (n - 1))
    if n < 4 or sigma < 0.3:
        return even
    reach = int(4 * sigma + 0.5)  # less than n, since sigma is at most a sixth of the length
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weight /= weight.sum()
    away = np.empty((n, 3))
    for i in range(n):
        away[i] = even[i] - even[0] - i / (n - 1) * (even[-1] - even[0])
    smooth = even - away
    for i in range(n):
        for j in range(i - reach, i + reach + 1):
            # Odd extension keeps the end points and the slope there.
            if j < 0:
                smooth[i] -= weight[j - i + reach] * away[-j]
            elif j >= n:
                smooth[i] -= weight[j - i + reach] * away[2 * (n - 1) - j]
            else:
                smooth[i] += weight[j - i + reach] * away[j]
    return smooth


def recentred(
    path: NDArray[np.float64],
    index: NDArray[np.int64],
    offset_um: NDArray[np.float64],
    window_um: float,
    step_um: float,
) -> NDArray[np.float64]:
    """Move a path, including its ends, to the local mean of the positions around it.

    Parameters
    ----------
    path
        (k, 3) points.
    index
        (n,) index of the path point nearest to each position.
    offset_um
        (n, 3) position minus that point, perpendicular to the path.
    window_um
        Standard deviation of the Gaussian window along the path.
    step_um
        Distance between points of the path.
    """
    k = len(path)
    count = np.bincount(index, minlength=k).astype(np.float64)
    total = np.stack([np.bincount(index, offset_um[:, d], k) for d in range(3)], axis=1)
    sigma = max(window_um / step_um, 0.5)
    weight = gaussian_filter1d(count, sigma, mode="constant", truncate=3.0)
    shift = gaussian_filter1d(total, sigma, axis=0, mode="constant", truncate=3.0)
    held = weight > 1e-9
    if not held.any():
        return path
    at = np.arange(k)
    mean = shift[held] / weight[held, None]
    full = np.stack([np.interp(at, at[held], mean[:, d]) for d in range(3)], axis=1)
    return np.asarray(path + full)
