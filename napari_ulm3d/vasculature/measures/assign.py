"""Assign tracked positions to vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.vasculature.measures.centreline import tangents_of

__all__ = ["Assignment", "assign", "rows_of_each"]

_NEIGHBOURS = 8
# A bubble that moves at a larger angle to a vessel crosses it.
_ALONG = np.cos(np.deg2rad(55.0))
_ROWS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Assignment:
    """Assignment of n positions to vessels.

    Attributes
    ----------
    vessel
        (n,) index into the list of centrelines; -1: none.
    point
        (n,) index of the nearest point of the centreline.
    offset_um
        (n, 3) position minus centreline, perpendicular to the vessel.
    tangent
        (n, 3) unit vector along the centreline there.
    """

    vessel: NDArray[np.int64]
    point: NDArray[np.int64]
    offset_um: NDArray[np.float64]
    tangent: NDArray[np.float64]


def rows_of_each(found: Assignment, n: int) -> list[NDArray[np.int64]]:
    """Rows of the positions in each of n vessels."""
    order = np.argsort(found.vessel, kind="stable")
    cuts = np.searchsorted(found.vessel[order], np.arange(n + 1))
    return [order[cuts[k] : cuts[k + 1]] for k in range(n)]


def assign(
    positions_um: NDArray[np.float64],
    heading: NDArray[np.float64],
    paths: list[NDArray[np.float64]],
    reach_um: NDArray[np.float64],
) -> Assignment:
    """Assign each position to a vessel.

    It belongs to the centreline with the smallest distance relative to its reach, unless it lies
    beyond this reach or the bubble crosses the vessel.

    Parameters
    ----------
    positions_um
        (n, 3) track positions.
    heading
        (n, 3) unit vectors of the direction of motion, 0 where unknown.
    paths
        Centrelines, each (k, 3), sampled evenly and more finely than the vessel diameters.
    reach_um
        (m,) largest distance of a vessel's tracks from its centreline.
    """
    n = len(positions_um)
    vessel, point = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    offset, tangent = np.zeros((n, 3)), np.zeros((n, 3))
    if not (n and paths):
        return Assignment(vessel, point, offset, tangent)
    owner = np.repeat(np.arange(len(paths)), [len(p) for p in paths])
    within = np.concatenate([np.arange(len(p)) for p in paths])
    points = np.concatenate(paths)
    direction = tangents_of(paths)
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
    """(n,) index of the centreline point of each position, -1 for none."""
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
