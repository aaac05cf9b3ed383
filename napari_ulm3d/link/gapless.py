"""Chains of points through consecutive frames, without gaps, compiled as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.link.assignment import assign
from napari_ulm3d.link.prediction import advance, assign_moving, begin

__all__ = ["gapless_labels"]

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def gapless_labels(
    start: NDArray[np.int64],
    follows: NDArray[np.bool_],
    position: Floats,
    shift: Floats,
    gate: float,
    moving: bool,
    variances: Floats,
    unlinked: float,
) -> NDArray[np.int64]:
    """Number of the chain of each point: the result of `chains.ChainBuilder` without gaps.

    It is called for hundreds of sets of links (chance tracks, speed limits), where a loop over
    frames outside compiled code takes several times as long as the assignment.

    Parameters
    ----------
    start
        (k + 1,) first row of each frame with points, and the number of rows.
    follows
        (k - 1,) whether the points of a frame may be linked to those of the previous one.
    position, shift
        (n, 3) positions and half the displacements expected within one frame, as in `chains`.
    gate
        Maximum length of a link.
    moving
        Whether links follow a model of the motion, with `variances` (4, 3) and `unlinked` of
        `prediction.MotionModel`.

    Returns
    -------
    (n,) labels from 0, in the order of the chains' first points.
    """
    labels = np.empty(len(position), np.int64)
    last = np.zeros((0, 3, 5))
    n = 0
    for k in range(len(start) - 1):
        own = labels[start[k] : start[k + 1]]
        here, ahead = position[start[k] : start[k + 1]], shift[start[k] : start[k + 1]]
        own[:] = -1
        state = begin(here, ahead, variances) if moving else last
        if k > 0 and follows[k - 1]:
            before, was = position[start[k - 1] : start[k]], shift[start[k - 1] : start[k]]
            if moving:
                target = assign_moving(before, last, here, ahead, gate, 1, variances, unlinked)
            else:
                target = assign(before, was, here, ahead, gate)
            linked = np.flatnonzero(target >= 0)
            found = target[linked]
            own[found] = labels[start[k - 1] : start[k]][linked]
            if moving:
                state[found] = advance(last[linked], here[found], ahead[found], 1, variances)
        for i in range(len(own)):
            if own[i] < 0:
                own[i] = n
                n += 1
        last = state
    return labels
