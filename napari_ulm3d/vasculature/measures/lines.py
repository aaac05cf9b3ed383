"""The centrelines of a graph, and their centring on the tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_ulm3d.vasculature.measures.assign import Assignment, rows_of_each
from napari_ulm3d.vasculature.measures.centreline import (
    arc_length,
    middle,
    recentred,
    resampled,
)

__all__ = ["Centrelines", "averaging_points", "centrelines_of", "followed_share", "recentre"]

_ENOUGH_TRACKS = 12.0  # side by side, for their mean to be the centre of the vessel
_MANY_TRACKS = 200.0  # side by side: each moves the centreline by less than one percent


@dataclass
class Centrelines:
    """Smooth centrelines between numbered nodes; the measurement moves and reverses them.

    Attributes
    ----------
    nodes_um
        (n, 3) positions of the nodes.
    ends
        (m, 2) nodes at the ends of each path.
    paths
        m polylines (k, 3), micrometres.
    radius_um
        (m,) median distance from the border of the mask.
    step_um
        Approximate distance between points of a path.
    """

    nodes_um: NDArray[np.float64]
    ends: NDArray[np.int64]
    paths: list[NDArray[np.float64]]
    radius_um: NDArray[np.float64]
    step_um: float

    def __len__(self) -> int:
        return len(self.paths)

    def turn(self, k: int) -> None:
        """Reverse a centreline."""
        self.paths[k] = self.paths[k][::-1]
        self.ends[k] = self.ends[k][::-1]

    def facts(self, k: int) -> dict[str, Any]:
        """Columns of the vessel table that follow from the centreline alone."""
        path = self.paths[k]
        length = float(arc_length(path)[-1])
        chord = float(np.linalg.norm(path[-1] - path[0]))
        return {
            "vessel_id": k + 1,
            "node_a": int(self.ends[k, 0]),
            "node_b": int(self.ends[k, 1]),
            "length_um": length,
            # A ring has no distance between its ends.
            "tortuosity": length / chord if chord > 1e-9 else np.nan,
        }


def centrelines_of(graph: nx.MultiGraph, voxel_um: float) -> Centrelines:
    """Smooth, evenly sampled centrelines of a skeleton graph.

    Thinning stops about a radius short of the end of a vessel, so free ends are extended by it.
    """
    names = sorted(graph.nodes)
    number = {node: k for k, node in enumerate(names)}
    nodes = np.array([graph.nodes[node]["position"] for node in names]).reshape(-1, 3)
    ends, paths, radii = [], [], []
    degree = dict(graph.degree())
    for a, b, data in graph.edges(data=True):
        path, radius = data["path"], float(middle(data["radius"]))
        to_a, to_b = (path[0] - graph.nodes[node]["position"] for node in (a, b))
        from_a = to_a @ to_a <= to_b @ to_b
        first, last = (a, b) if from_a else (b, a)
        ends.append((number[first], number[last]))
        if degree[first] == 1:
            path = _carried_on(path[::-1], graph.nodes[first]["radius"])[::-1]
            nodes[number[first]] = path[0]
        if degree[last] == 1:
            path = _carried_on(path, graph.nodes[last]["radius"])
            nodes[number[last]] = path[-1]
        paths.append(resampled(path, voxel_um, max(2 * voxel_um, radius)))
        radii.append(radius)
    return Centrelines(
        nodes, np.array(ends, np.int64).reshape(-1, 2), paths, np.array(radii), voxel_um
    )


def _carried_on(path: NDArray[np.float64], by_um: float) -> NDArray[np.float64]:
    """Extend a polyline straight beyond its end by one point."""
    away = np.sqrt(((path - path[-1]) ** 2).sum(axis=1))
    before = np.flatnonzero(away >= min(2 * by_um, away.max()))
    course = path[-1] - path[before[-1]]
    norm = float(np.linalg.norm(course))
    return np.concatenate([path, [path[-1] + by_um * course / norm]]) if norm > 0 else path


def recentre(lines: Centrelines, found: Assignment, track: NDArray[np.int64]) -> None:
    """Centre the centrelines on their tracks, and move the nodes along with their ends.

    The mean is taken over about one vessel diameter, and further where few tracks lie side by
    side, since the mean of a few would follow each of them.
    """
    moved = []
    for k, mine in enumerate(rows_of_each(found, len(lines))):
        path = lines.paths[k]
        if len(mine):
            side_by_side = _side_by_side(found.point[mine], track[mine], len(path))
            window = _window_um(lines, k, side_by_side)
            path = recentred(path, found.point[mine], found.offset_um[mine], window, lines.step_um)
        moved.append(path)
    lines.nodes_um = _nodes_between(lines, moved)
    for k, path in enumerate(moved):
        a, b = lines.nodes_um[lines.ends[k]]
        arc = arc_length(path)
        fall = max(lines.radius_um[k], 1e-9)
        head, tail = np.exp(-((arc / fall) ** 2)), np.exp(-(((arc[-1] - arc) / fall) ** 2))
        path = path + head[:, None] * (a - path[0]) + tail[:, None] * (b - path[-1])
        path[0], path[-1] = a, b
        lines.paths[k] = resampled(path, lines.step_um, _smoothing_um(lines, k))


def averaging_points(point: NDArray[np.int64], track: NDArray[np.int64], n_points: int) -> float:
    """Standard deviation, in centreline points, of a window that contains a sufficient number of tracks."""
    window = max(1.0, _ENOUGH_TRACKS / max(_side_by_side(point, track, n_points), 1e-9))
    return min(window, float(n_points))


def _window_um(lines: Centrelines, k: int, side_by_side: float) -> float:
    """Standard deviation of the window over which tracks are averaged."""
    return max(2 * lines.step_um, float(lines.radius_um[k])) * max(
        1.0, _ENOUGH_TRACKS / side_by_side
    )


def _smoothing_um(lines: Centrelines, k: int) -> float:
    """Standard deviation of the Gaussian that smooths the moved centreline."""
    return max(2 * lines.step_um, float(lines.radius_um[k]))


def followed_share(
    lines: Centrelines, k: int, point: NDArray[np.int64], track: NDArray[np.int64]
) -> float:
    """Share of the variance of a vessel's tracks that its centreline absorbs.

    A centreline is the local mean of the tracks, with weights w that sum to 1. The variance
    of tracks about their own mean is smaller than that about the centre of the vessel by the sum
    of w^2: by a tenth if ten tracks count equally.

    Parameters
    ----------
    lines, k
        Centrelines after `recentre`, and the index of the vessel.
    point, track
        (n,) nearest centreline point and track of each position.
    """
    n_points = len(lines.paths[k])
    side_by_side = _side_by_side(point, track, n_points)
    if not 0 < side_by_side < _MANY_TRACKS:
        return 0.0
    window = np.hypot(_window_um(lines, k, side_by_side), _smoothing_um(lines, k)) / lines.step_um
    _, number = np.unique(track, return_inverse=True)
    count = np.zeros((int(number.max()) + 1, n_points))
    np.add.at(count, (number, point), 1.0)
    weight = gaussian_filter1d(count, window, axis=1, mode="constant", truncate=3.0)
    share = (weight**2).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-12) ** 2
    return float(share[point].mean())


def _nodes_between(lines: Centrelines, moved: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(n, 3) nodes at the mean of the ends that meet there, weighted by cross section."""
    total, mass = np.zeros_like(lines.nodes_um), np.zeros(len(lines.nodes_um))
    for k, path in enumerate(moved):
        weight = lines.radius_um[k] ** 2
        for node, end in zip(lines.ends[k], (path[0], path[-1]), strict=True):
            total[node] += weight * end
            mass[node] += weight
    held = mass > 0
    nodes = lines.nodes_um.copy()
    nodes[held] = total[held] / mass[held, None]
    return nodes


def _side_by_side(point: NDArray[np.int64], track: NDArray[np.int64], n_points: int) -> float:
    """Mean number of tracks per centreline point."""
    return len(np.unique(track * np.int64(n_points) + point)) / n_points
