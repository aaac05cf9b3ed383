"""Selection of bubbles that explain something not explained by others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.chaining import SHORTEST

__all__ = ["still_like_tissue", "supported"]

_TAKEN, _STILL_WIDTHS, _STILL_MM_S, _RAISED = 0.1, 0.3, 2.0, 1.05
_LONG = 6
"""Minimum number of rows in a track that may cross another one, or be judged stationary."""
_TOGETHER = 0.5
"""Two tracks that share this fraction of the shorter one are one bubble."""


def still_like_tissue(
    bubbles: Bubbles,
    taken: NDArray[np.float64],
    fwhm: NDArray[np.float64],
    floor: float | NDArray[np.float64],
    unit_mm_s: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Select tracks that are more likely a speckle of tissue than a bubble, (n,).

    Tissue that moves briefly, for instance during a breath, partly passes a filter computed for the whole block.
    Its speckles look like stationary bubbles, and since they follow the time course of the removed components,
    restoring those makes them twice as bright, and longer. Unlike slow bubbles, they lie among other speckles,
    which raise the residual.

    Parameters
    ----------
    bubbles
        With their tracks.
    taken
        (n,) share of each track's energy that the filter took (`JointFit.taken`).
    fwhm
        (3,) full widths at half maximum of the image, voxels.
    floor
        Power of the noise, one or (n,) one at each bubble.
    unit_mm_s
        (3,) speed of one voxel per frame along each axis. At high frame rates, bubbles also stay near one place for
        many frames, but tissue is slower.
    """
    label, length = bubbles.tracks()
    first, last = np.flatnonzero(bubbles.before < 0), np.flatnonzero(bubbles.after < 0)
    start, end = np.empty((len(first), 3)), np.empty((len(first), 3))
    start[label[first]], end[label[last]] = bubbles.place[first], bubbles.place[last]
    moved = np.linalg.norm((end - start) / fwhm, axis=1)
    steps = np.maximum(np.bincount(label) - 1, 1)
    speed = np.linalg.norm((end - start) * unit_mm_s, axis=1) / steps
    raised = np.bincount(label, bubbles.noise / floor) / np.bincount(label)
    grain = (moved < _STILL_WIDTHS) & (speed < _STILL_MM_S) & (raised > _RAISED)
    return (length >= _LONG) & (taken > _TAKEN) & grain[label]


def supported(
    bubbles: Bubbles, least_track: float, least_alone: float, apart: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Select the bubbles to keep, (n,).

    Parameters
    ----------
    bubbles
        With their `energy`, the gain in log-likelihood that each one provides.
    least_track, least_alone
        Minimum energy: in a track, of the geometric mean with its neighbours, which constrain
        its position; otherwise, of the bubble alone.
    apart
        (3,) semi-axes within which two bubbles in a frame are one, unless they belong to long
        tracks that cross.
    """
    label, length = bubbles.tracks()
    level = np.log(np.maximum(bubbles.energy, 1e-6))
    earlier = np.where(bubbles.before >= 0, level[bubbles.before], level)
    later = np.where(bubbles.after >= 0, level[bubbles.after], level)
    mean = (earlier + level + later) / 3
    keep = np.where(length >= SHORTEST, mean >= np.log(least_track), level >= np.log(least_alone))
    _drop_doubles(
        bubbles.first, bubbles.place, np.abs(bubbles.amplitude), bubbles.before, bubbles.after,
        label, length, apart, keep,
    )  # fmt: skip
    return keep


@njit(cache=True, nogil=True)
def _close(i, j, place, apart):  # type: ignore[no-untyped-def]
    square = 0.0
    for a in range(3):
        square += ((place[i, a] - place[j, a]) / apart[a]) ** 2
    return square <= 1.0


@njit(cache=True, nogil=True)
def _shared(i, j, way, place, apart):  # type: ignore[no-untyped-def]
    """Count frames from i and j in one direction along both tracks, and those with both close."""
    many, close = 0, 0
    i, j = way[i], way[j]
    while i >= 0 and j >= 0:
        many += 1
        close += _close(i, j, place, apart)
        i, j = way[i], way[j]
    return many, close


@njit(cache=True, nogil=True)
def _drop_doubles(  # type: ignore[no-untyped-def]
    first, place, strength, before, after, label, length, apart, keep
):
    """Of two bubbles at one position, keep that in the longer track, or the brighter one."""
    gone = np.zeros(label.size + 1, np.bool_)
    for t in range(first.size - 1):
        for i in range(first[t], first[t + 1]):
            for j in range(i + 1, first[t + 1]):
                if not _close(i, j, place, apart):
                    continue
                if length[i] >= _LONG and length[j] >= _LONG:
                    shorter = i if length[i] < length[j] else j
                    shared = 1
                    shared += _shared(i, j, before, place, apart)[1]
                    shared += _shared(i, j, after, place, apart)[1]
                    if shared >= _TOGETHER * length[shorter]:
                        gone[label[shorter]] = True
                    continue
                of_i, of_j = min(length[i], _LONG), min(length[j], _LONG)
                weaker = of_i < of_j or (of_i == of_j and strength[i] < strength[j])
                keep[i if weaker else j] = False
    for i in range(label.size):
        if gone[label[i]]:
            keep[i] = False
