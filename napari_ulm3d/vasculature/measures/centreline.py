"""Centrelines: smooth, evenly sampled curves, centred on the tracks around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["arc_length", "recentred", "resampled", "tangents"]


def arc_length(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) distance along a polyline (k, 3) from its first point."""
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))
    return np.concatenate([[0.0], np.cumsum(steps)])


def tangents(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k, 3) unit vectors along a polyline."""
    direction = (
        np.gradient(path, axis=0) if len(path) > 2 else np.repeat(np.diff(path, axis=0), 2, 0)
    )
    norm = np.sqrt((direction**2).sum(axis=1, keepdims=True))
    return np.asarray(direction / np.where(norm > 0, norm, 1.0))


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
        return path[[0, -1]]
    n = max(2, round(length / step_um) + 1)
    at = np.linspace(0, length, n)
    even = np.stack([np.interp(at, arc, path[:, k]) for k in range(3)], 1)
    sigma = min(smoothing_um, length / 6) / (length / (n - 1))
    if n < 4 or sigma < 0.3:
        return even
    share = np.linspace(0, 1, n)[:, None]
    chord = even[0] + share * (even[-1] - even[0])
    # Odd extension keeps the end points and the slope there.
    away = even - chord
    margin = min(n - 1, int(np.ceil(4 * sigma)))
    extended = np.concatenate([-away[1 : margin + 1][::-1], away, -away[-margin - 1 : -1][::-1]])
    smooth = gaussian_filter1d(extended, sigma, axis=0)[margin : margin + n]
    return np.asarray(chord + smooth)


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
