"""Smoothing of displacements over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["smoothed"]


def smoothed(
    raw: NDArray[np.float64], broken: NDArray[np.bool_], sigma: float, step: int = 1
) -> tuple[NDArray[np.float64], float]:
    """Smooth displacements over unbroken frames, and estimate the noise of one estimate.

    A local quadratic fit with Gaussian weights: motion peaks keep their height, and the ends
    of a block are as accurate as its middle, apart from having fewer frames.

    Parameters
    ----------
    raw
        (t, 3) estimates.
    broken
        (t,) estimates that are ignored; they are replaced by the fit as well.
    sigma
        Standard deviation of the weights, in number of estimates; 0: no smoothing.
    step
        Number of frames per estimate.

    Returns
    -------
    displacement
        (t, 3).
    noise
        Standard deviation of an estimate along an axis, from the residuals of the fit.
    """
    n = len(raw)
    good = np.flatnonzero(~broken)
    if good.size < 3:
        return np.zeros_like(raw), float("nan")
    if sigma <= 0:
        filled = np.column_stack([np.interp(np.arange(n), good, raw[good, k]) for k in range(3)])
        return filled, float("nan")
    width = sigma * step
    out = np.empty_like(raw)
    for frame in range(n):
        reach = 3 * width
        while True:
            low, high = np.searchsorted(good, [frame - reach, frame + reach + 1])
            if high - low >= min(4, good.size):
                break
            reach *= 2
        near = good[low:high]
        apart = (near - frame) / width
        # Across a stretch of broken frames, use the nearest good ones.
        weight = np.exp(-0.5 * (apart / max(1.0, reach / (3 * width))) ** 2)
        degree = 2 if np.abs(apart).min() <= 3 and near.size >= 5 else 1
        basis = np.vander(apart, degree + 1, increasing=True)
        root = np.sqrt(weight)[:, None]
        fit = np.linalg.lstsq(basis * root, raw[near] * root, rcond=None)[0]
        out[frame] = fit[0]
    left = (raw - out)[good]
    return out, float(np.sqrt(np.mean(left**2)))
