"""Bend the straight edges of a graph to smooth vessels of short segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bend"]


def bend(
    nodes_um: NDArray[np.float64],
    edges: NDArray[np.int64],
    leaving: NDArray[np.float64],
    arriving: NDArray[np.float64],
    sway: NDArray[np.float64],
    step_um: float,
    box_um: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Replace each edge by an undulating cubic Hermite curve, divided into segments.

    Parameters
    ----------
    nodes_um
        (n, 3) micrometres; they keep their positions and numbers.
    edges
        (m, 2) node indices.
    leaving, arriving
        (m, 3) directions of the curve at its two ends (unit vectors).
    sway
        (m,) standard deviation of the sideways bulge, as a fraction of the edge's length.
    step_um
        Approximate length of a segment.
    box_um
        (2, 3) box that the curves must not leave.
    rng
        Random generator for the undulations.

    Returns
    -------
    nodes, segments, edge
        (n', 3) all nodes, (m', 2) segments, directed from an edge's first node to its second,
        and (m',) the edge of each segment.
    """
    start, end = nodes_um[edges[:, 0]], nodes_um[edges[:, 1]]
    length = np.linalg.norm(end - start, axis=1)
    pieces = np.maximum(np.ceil(length / step_um), 1).astype(int)
    extent = box_um[1] - box_um[0]
    sides = rng.normal(size=(2, len(edges), 3)) * (extent > 0)
    sides *= (sway * length)[:, None] * np.array([1.0, 0.5])[:, None, None]
    nodes, segments, origin = [nodes_um], [], []
    count = len(nodes_um)
    for n in np.unique(pieces):
        rows = np.flatnonzero(pieces == n)
        t = (np.arange(1, n) / n)[:, None]
        h00, h01 = 2 * t**3 - 3 * t**2 + 1, -2 * t**3 + 3 * t**2
        h10, h11 = t**3 - 2 * t**2 + t, t**3 - t**2
        scale = length[rows, None, None]
        inner = h00 * start[rows, None] + h01 * end[rows, None]
        inner = inner + scale * (h10 * leaving[rows, None] + h11 * arriving[rows, None])
        # The undulations have zero slope at the ends, so the directions there do not change.
        wave = (np.sin(np.pi * t) ** 2, np.sin(np.pi * t) * np.sin(2 * np.pi * t))
        inner = inner + wave[0] * sides[0, rows, None] + wave[1] * sides[1, rows, None]
        nodes.append(np.clip(inner, box_um[0], box_um[1]).reshape(-1, 3))
        chain = np.empty((rows.size, n + 1), np.int64)
        chain[:, 0], chain[:, -1] = edges[rows, 0], edges[rows, 1]
        chain[:, 1:-1] = count + np.arange(rows.size * (n - 1)).reshape(rows.size, n - 1)
        count += rows.size * (n - 1)
        segments.append(np.stack([chain[:, :-1], chain[:, 1:]], axis=2).reshape(-1, 2))
        origin.append(np.repeat(rows, n))
    return np.concatenate(nodes), np.concatenate(segments), np.concatenate(origin)
