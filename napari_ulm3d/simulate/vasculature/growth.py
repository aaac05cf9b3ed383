"""Grow trees over scattered points, with radii from Murray's law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["grow", "main_children", "murray_radii", "scattered"]


@njit(cache=True, nogil=True)
def grow(
    roots_um: NDArray[np.float64], points_um: NDArray[np.float64], balance: float
) -> NDArray[np.int64]:
    """Join points to the nearest root through each other, balancing total and path length.

    The point with the lowest cost is joined next; the cost is the length of the joint plus
    `balance` times the path back to the root. 0 gives the smallest total length (a minimum
    spanning tree), large values give straight paths. Cuntz, Forstner, Borst & Haeusser, PLoS
    Comput. Biol. 6:e1000877 (2010).

    Parameters
    ----------
    roots_um
        (r, 3) possible starting points of trees, micrometres.
    points_um
        (n, 3) points to reach, micrometres.
    balance
        Weight of the path length.

    Returns
    -------
    numpy.ndarray
        (n,) parent of each point: 0..r-1 for a root, r + k for point k.
    """
    r, n = len(roots_um), len(points_um)
    parent = np.zeros(n, np.int64)
    length = np.zeros(n)
    cost = np.full(n, np.inf)
    path = np.zeros(n)
    done = np.zeros(n, np.bool_)
    for j in range(n):
        for i in range(r):
            d = np.sqrt(((points_um[j] - roots_um[i]) ** 2).sum())
            if d < length[j] or i == 0:
                length[j] = d
                parent[j] = i
        cost[j] = length[j] * (1 + balance)
    for _ in range(n):
        best = -1
        for j in range(n):
            if not done[j] and (best < 0 or cost[j] < cost[best]):
                best = j
        done[best] = True
        up = parent[best]
        path[best] = length[best] + (path[up - r] if up >= r else 0.0)
        for j in range(n):
            if done[j]:
                continue
            d = 0.0
            for k in range(3):
                d += (points_um[j, k] - points_um[best, k]) ** 2
            d = np.sqrt(d)
            new = d + balance * (path[best] + d)
            if new < cost[j]:
                cost[j], length[j], parent[j] = new, d, r + best
    return parent


@njit(cache=True, nogil=True)
def murray_radii(
    parent: NDArray[np.int64], end_radius: NDArray[np.float64], exponent: float
) -> NDArray[np.float64]:
    """Radius of the vessel that leads to each node of a forest, computed from its ends.

    r_parent^exponent = sum of r_child^exponent at every bifurcation (Murray, PNAS 12:207,
    1926: exponent 3).

    Parameters
    ----------
    parent
        (n,) parent of each node, -1 for a root.
    end_radius
        (n,) radius used at nodes that are ends, um.
    exponent
        Murray's exponent.

    Returns
    -------
    numpy.ndarray
        (n,) um; for a root, the radius for its whole tree.
    """
    n = len(parent)
    waiting = np.zeros(n, np.int64)
    for i in range(n):
        if parent[i] >= 0:
            waiting[parent[i]] += 1
    power = np.zeros(n)
    stack = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        if waiting[i] == 0:
            power[i] = end_radius[i] ** exponent
            stack[count] = i
            count += 1
    while count:
        count -= 1
        up = parent[stack[count]]
        if up < 0:
            continue
        power[up] += power[stack[count]]
        waiting[up] -= 1
        if waiting[up] == 0:
            stack[count] = up
            count += 1
    return power ** (1.0 / exponent)


def main_children(parent: NDArray[np.int64], radius: NDArray[np.float64]) -> NDArray[np.int64]:
    """The widest child of each node, (n,), which continues its direction; -1 at an end."""
    child = np.full(len(parent), -1)
    rows = np.flatnonzero(parent >= 0)
    rows = rows[np.argsort(radius[rows], kind="stable")]
    child[parent[rows]] = rows
    return child


def scattered(
    box_um: NDArray[np.float64], spacing_um: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """One random point in each cell of about `spacing_um`, (n, 3), for an even distribution.

    Along an axis in which the box has no extent, the position is fixed.
    """
    size = box_um[1] - box_um[0]
    cells = np.maximum(np.round(size / spacing_um), 1).astype(int)
    index = np.stack(np.meshgrid(*[np.arange(c) for c in cells], indexing="ij"), -1).reshape(-1, 3)
    return box_um[0] + (index + rng.random(index.shape)) * size / cells
