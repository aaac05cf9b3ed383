"""Frames with jerks of the tissue, in which the estimate or the correlation is unreliable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["broken_frames"]

_SIGMAS = 6.0
_LEAST_VOXELS = 0.06
"""A smaller step is not a jerk, however still the tissue is otherwise."""
_LEAST_FALL = 0.05
"""A smaller drop of the correlation is ignored."""
_JERK_S = 0.15
"""Maximum duration of a jerk; longer motion is breathing."""


def broken_frames(
    displacement_um: NDArray[np.float64],
    correlation: NDArray[np.float64],
    rate_hz: float,
    spacing_um: tuple[float, float, float],
) -> NDArray[np.bool_]:
    """Find frames to exclude.

    A jerk is a stretch between frame-to-frame steps that are far larger than usual; all
    frames from the first such step to the last are broken, including its turning point, at
    which the tissue stands still. Frames whose correlation with the reference drops are
    broken, too.

    Parameters
    ----------
    displacement_um
        (t, 3) estimates before smoothing.
    correlation
        (t,) correlation with the reference after motion correction.

    Returns
    -------
    (t,) bool
    """
    n = len(correlation)
    if n < 5:
        return np.zeros(n, bool)
    # In voxels: the error of an estimate is a fraction of a voxel, whatever its size.
    path = displacement_um / np.asarray(spacing_um)
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    typical = float(np.median(step))
    fast = np.flatnonzero(step > max(_SIGMAS * _spread(step), 4 * typical, _LEAST_VOXELS))
    longest = max(3, round(_JERK_S * rate_hz))
    broken = np.zeros(n, bool)
    for run in np.split(fast, np.flatnonzero(np.diff(fast) > longest) + 1):
        if not run.size:
            continue
        # Step k leads from frame k to k + 1. A jerk cut off by the block has no second end.
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
    """Robust standard deviation, from the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
