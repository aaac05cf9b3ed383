"""Frames in which the tissue jerks: the estimate or the correlation breaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["broken_frames"]

_SIGMAS = 6.0
_LEAST_VOXELS = 0.06
"""A departure of less is no jerk, however still the tissue lies otherwise."""
_LEAST_FALL = 0.05
"""Nor is a smaller fall of the correlation."""
_BASELINE_S = 0.3
"""Over such a time tissue is where the median says; a jerk is shorter than half of it."""


def broken_frames(
    displacement_um: NDArray[np.float64],
    correlation: NDArray[np.float64],
    rate_hz: float,
    spacing_um: tuple[float, float, float],
) -> NDArray[np.bool_]:
    """Which frames to leave out.

    A frame is broken where the tissue moves far faster than it does as a rule, where it is far
    from its path before and after (so that the turning point of a jerk, at which it stands
    still, counts), or where the correlation with the reference falls.

    Parameters
    ----------
    displacement_um
        (t, 3) estimates, not smoothed.
    correlation
        (t,) with the reference, moved back.

    Returns
    -------
    (t,) bool
    """
    n = len(correlation)
    if n < 5:
        return np.zeros(n, bool)
    # In units of voxels: an estimate's error is a fraction of one, whatever its edge.
    path = displacement_um / np.asarray(spacing_um)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    typical = float(np.median(step))
    fast = step > max(_SIGMAS * _spread(step), 4 * typical, _LEAST_VOXELS)
    broken = np.zeros(n, bool)
    broken[1:] |= fast
    broken[:-1] |= fast
    fall = float(np.median(correlation)) - correlation
    broken |= fall > max(_SIGMAS * _spread(fall), _LEAST_FALL)
    for _ in range(3):
        aside = np.linalg.norm(path - _path_of(path, broken, rate_hz), axis=1)
        rest = aside[~broken]
        if rest.size < n // 4:
            break
        limit = max(_SIGMAS * _spread(rest), 3 * float(np.median(rest)), _LEAST_VOXELS)
        # Of frames that moved fast, those that are on the path were its neighbours only.
        found = (aside > limit) | (fall > max(_SIGMAS * _spread(fall), _LEAST_FALL))
        if (found == broken).all():
            break
        broken = found
    return broken


def _path_of(
    path: NDArray[np.float64], broken: NDArray[np.bool_], rate_hz: float
) -> NDArray[np.float64]:
    """The path without the jerks: a straight line through the good frames around each frame.

    Its slope is the median of theirs (Theil-Sen, over pairs half a window apart), so that a
    jerk that is still among them does not pull it.
    """
    n = len(path)
    good = np.flatnonzero(~broken)
    if good.size < 5:
        return np.broadcast_to(np.median(path, axis=0), path.shape)
    half = max(3, round(_BASELINE_S * rate_hz / 2))
    out = np.empty_like(path)
    for frame in range(n):
        reach = half
        while True:
            low, high = np.searchsorted(good, [frame - reach, frame + reach + 1])
            if high - low >= min(8, good.size):
                break
            reach *= 2
        near = good[low:high]
        gap = len(near) // 2
        run = (near[gap:] - near[: len(near) - gap])[:, None]
        slope = np.median((path[near[gap:]] - path[near[: len(near) - gap]]) / run, axis=0)
        level = path[near] - slope * (near - frame)[:, None]
        close = np.argsort(np.abs(near - frame), kind="stable")[: max(5, len(near) // 3)]
        out[frame] = np.median(level[close], axis=0)
    return out


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation by the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
