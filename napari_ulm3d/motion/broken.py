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
_JERK_S = 0.15
"""A jerk is over after such a time, and what lasts longer is breathing."""


def broken_frames(
    displacement_um: NDArray[np.float64],
    correlation: NDArray[np.float64],
    rate_hz: float,
    spacing_um: tuple[float, float, float],
) -> NDArray[np.bool_]:
    """Which frames to leave out.

    A jerk is a stretch between steps, from a frame to the next, that are far larger than they are as a
    rule; all frames from the first such step to the last are broken, its turning point, at
    which the tissue stands still, among them. So are frames whose correlation with the
    reference falls.

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
    fast = np.flatnonzero(step > max(_SIGMAS * _spread(step), 4 * typical, _LEAST_VOXELS))
    longest = max(3, round(_JERK_S * rate_hz))
    broken = np.zeros(n, bool)
    for run in np.split(fast, np.flatnonzero(np.diff(fast) > longest) + 1):
        if not run.size:
            continue
        # Step k leads from frame k to k + 1. A jerk that the block cuts has no other end.
        begin, end = run[0] + 1, run[-1] + 1
        away = np.linalg.norm(path[end] - path[begin - 1]) > 0.5 * step[run].max()
        if away and begin - 1 < longest and begin - 1 < n - end:
            begin = 0
        elif away and n - end < longest:
            end = n
        broken[begin:end] = True
    fall = float(np.median(correlation)) - correlation
    return broken | (fall > max(_SIGMAS * _spread(fall), _LEAST_FALL))


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation by the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
