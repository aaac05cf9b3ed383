"""The capillary mesh: a graph over points whose nodes mostly join three vessels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["relative_neighbours"]


def relative_neighbours(points_um: NDArray[np.float64], near: int = 16) -> NDArray[np.int64]:
    """Relative neighbourhood graph: p and q are joined if no third point is nearer to both.

    It contains the minimum spanning tree, so it is connected, and in 3-D its nodes have about
    three neighbours, like the nodes of capillary beds. Toussaint, Pattern Recognition
    12:261-268 (1980).

    Parameters
    ----------
    points_um
        (n, 3) micrometres.
    near
        Only pairs within each other's `near` nearest points are considered (in evenly
        distributed points, no pair further apart is joined).

    Returns
    -------
    numpy.ndarray
        (m, 2) joined pairs, each once, the lower index first.
    """
    n = len(points_um)
    near = min(near, n - 1)
    if near < 1:
        return np.empty((0, 2), np.int64)
    distance, index = cKDTree(points_um).query(points_um, near + 1)
    distance, index = distance[:, 1:], index[:, 1:]
    joined = np.ones((n, near), bool)
    for k in range(1, near):
        # Points nearer to p than its k-th neighbour q; is one of them nearer to q as well?
        to_q = np.linalg.norm(points_um[index[:, :k]] - points_um[index[:, k]][:, None], axis=2)
        joined[:, k] = ~(to_q < distance[:, k, None]).any(axis=1)
    pairs = np.stack([np.repeat(np.arange(n), near), index.ravel()], axis=1)[joined.ravel()]
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return np.unique(np.sort(pairs, axis=1), axis=0)
