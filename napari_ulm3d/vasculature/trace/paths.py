"""Paths of a skeleton between its ends and junctions.

The graph and the paths are those of skan's `Skeleton` (Nunez-Iglesias et al., PeerJ 6:e4312, 2018),
in the same order. skan itself compiles for 4 s in each process and goes through the whole volume
several times; this works on the voxels of the skeleton, and its compiled function is cached.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from napari_ulm3d._caches import njit

__all__ = ["skeleton_paths"]


def skeleton_paths(
    thin: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Voxels of a skeleton, and the paths between its ends and junctions.

    Parameters
    ----------
    thin
        (z, y, x) skeleton.

    Returns
    -------
    voxels
        (n, 3) indices, in the order of memory.
    paths
        Rows of `voxels` along each path, including both ends. A ring without a junction is one
        path, which ends where it starts.
    """
    voxels = np.stack(np.unravel_index(np.flatnonzero(thin), thin.shape), axis=1)
    graph = _without_cycles(_adjacent(voxels, thin.shape))
    rows, cuts = _walked(graph.indptr, graph.indices)
    return voxels, np.split(rows, cuts[1:-1]) if len(cuts) > 1 else []


def _adjacent(voxels: NDArray[np.int64], shape: tuple[int, ...]) -> csr_matrix:
    """Distances, in voxels, between those that touch at faces, edges or corners."""
    _, height, width = (n + 2 for n in shape)  # a margin, so that rows do not run into each other
    place = ((voxels[:, 0] + 1) * height + voxels[:, 1] + 1) * width + voxels[:, 2] + 1
    start, stop, apart = [], [], []
    for dz, dy, dx in product((0, 1), (-1, 0, 1), (-1, 0, 1)):
        step = (dz * height + dy) * width + dx
        if step <= 0:
            continue
        other = np.minimum(np.searchsorted(place, place + step), len(place) - 1)
        held = np.flatnonzero(place[other] == place + step)
        start.append(held)
        stop.append(other[held])
        apart.append(np.full(len(held), np.sqrt(dz**2 + dy**2 + dx**2)))
    a, b, d = np.concatenate(start), np.concatenate(stop), np.concatenate(apart)
    both = (np.concatenate([d, d]), (np.concatenate([a, b]), np.concatenate([b, a])))
    return coo_matrix(both, shape=(len(voxels),) * 2).tocsr()


def _without_cycles(graph: csr_matrix) -> csr_matrix:
    """Replace clusters of junction voxels by their minimum spanning trees."""
    many = np.diff(graph.indptr) > 2
    pairs = graph.tocoo()
    inner = many[pairs.row] & many[pairs.col]
    between = coo_matrix(
        (pairs.data[inner], (pairs.row[inner], pairs.col[inner])), shape=graph.shape
    ).tocsr()
    tree = minimum_spanning_tree(between)
    return csr_matrix(graph - (between - (tree + tree.T)))


@njit(cache=True, nogil=True)
def _walked(
    indptr: NDArray[np.int32], indices: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Paths one after the other, and where each starts, with the end of the last."""
    n = len(indptr) - 1
    gone = np.zeros(len(indices), np.bool_)
    # Each edge is walked once, and each path has one voxel more than edges; a path has an edge.
    rows = np.empty(len(indices) + 1, np.int64)
    cuts = np.zeros(len(indices) // 2 + 1, np.int64)
    at, paths = 0, 0
    for rings in (False, True):  # what is left after the paths from ends and junctions
        for node in range(n):
            degree = indptr[node + 1] - indptr[node]
            if degree == 0 or (degree == 2 and not rings):
                continue
            for first in range(indptr[node], indptr[node + 1]):
                if gone[first]:
                    continue
                rows[at] = node
                at += 1
                here, edge = node, first
                while not gone[edge]:
                    there = indices[edge]
                    gone[edge] = True
                    rows[at] = there
                    at += 1
                    back = indptr[there]
                    while indices[back] != here:
                        back += 1
                    gone[back] = True
                    if indptr[there + 1] - indptr[there] != 2 or there == node:
                        break
                    edge = 2 * indptr[there] + 1 - back  # the other one of the two
                    here = there
                paths += 1
                cuts[paths] = at
    return rows[:at], cuts[: paths + 1]
