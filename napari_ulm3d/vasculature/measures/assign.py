"""Which vessel each tracked position lies in, and where in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.vasculature.measures.centreline import tangents

__all__ = ["Assignment", "assign", "rows_of_each"]

_NEIGHBOURS = 8
# A bubble that moves at more than this angle to a vessel is passing it.
_ALONG = np.cos(np.deg2rad(55.0))
_ROWS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Assignment:
    """For each of n positions.

    Attributes
    ----------
    vessel
        (n,) the vessel's place in the list of centrelines; -1: none.
    point
        (n,) nearest point of its centreline.
    offset_um
        (n, 3) position minus centreline, across the vessel.
    tangent
        (n, 3) unit vector along the centreline there.
    """

    vessel: NDArray[np.int64]
    point: NDArray[np.int64]
    offset_um: NDArray[np.float64]
    tangent: NDArray[np.float64]


def rows_of_each(found: Assignment, n: int) -> list[NDArray[np.int64]]:
    """For each of n vessels the positions that lie in it."""
    order = np.argsort(found.vessel, kind="stable")
    cuts = np.searchsorted(found.vessel[order], np.arange(n + 1))
    return [order[cuts[k] : cuts[k + 1]] for k in range(n)]


def assign(
    positions_um: NDArray[np.float64],
    heading: NDArray[np.float64],
    paths: list[NDArray[np.float64]],
    reach_um: NDArray[np.float64],
) -> Assignment:
    """Give each position the vessel that it lies in.

    Of the centrelines around it, the one nearest in units of its reach, unless that is further
    than its reach or the bubble moves across it.

    Parameters
    ----------
    positions_um
        (n, 3) of the tracks.
    heading
        (n, 3) unit vectors of where they are going, 0 where that is not known.
    paths
        Centrelines, each (k, 3), evenly sampled more finely than the vessels are wide.
    reach_um
        (m,) how far from its centreline a vessel's tracks may lie.
    """
    n = len(positions_um)
    vessel, point = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    offset, tangent = np.zeros((n, 3)), np.zeros((n, 3))
    if not (n and paths):
        return Assignment(vessel, point, offset, tangent)
    owner = np.repeat(np.arange(len(paths)), [len(p) for p in paths])
    within = np.concatenate([np.arange(len(p)) for p in paths])
    points = np.concatenate(paths)
    direction = np.concatenate([tangents(p) for p in paths])
    tree = cKDTree(points)
    for start in range(0, n, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        best = _nearest(tree, positions_um[rows], heading[rows], direction, reach_um[owner])
        held = best >= 0
        at = best[held]
        where = np.flatnonzero(held) + start
        vessel[where], point[where] = owner[at], within[at]
        away = positions_um[where] - points[at]
        t = direction[at]
        offset[where] = away - (away * t).sum(axis=1, keepdims=True) * t
        tangent[where] = t
    return Assignment(vessel, point, offset, tangent)


def _nearest(
    tree: cKDTree,
    positions: NDArray[np.float64],
    heading: NDArray[np.float64],
    direction: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> NDArray[np.int64]:
    """(n,) the centreline point that each position belongs to, -1 for none."""
    k = min(_NEIGHBOURS, tree.n)
    distance, index = tree.query(
        positions, k=range(1, k + 1), distance_upper_bound=float(reach.max())
    )
    missing = index == tree.n
    index = np.where(missing, 0, index)
    cosine = np.abs(np.einsum("nd,nkd->nk", heading, direction[index]))
    known = np.asarray(heading.any(axis=1))
    passing = (cosine < _ALONG) & known[:, None]
    score = np.where(missing | passing | (distance > reach[index]), np.inf, distance / reach[index])
    best = score.argmin(axis=1)
    rows = np.arange(len(positions))
    return np.where(np.isfinite(score[rows, best]), index[rows, best], -1)
