"""Remove artefacts of thinning: split junctions, spurs, and loops around holes in wide vessels."""

from __future__ import annotations

from math import dist

import networkx as nx
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "contract_junctions",
    "drop_small_pieces",
    "join_passing",
    "oriented",
    "path_length",
    "prune",
]


def path_length(path: NDArray[np.float64]) -> float:
    """Length of a polyline (k, 3), in its unit."""
    return float(np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1)).sum())


def contract_junctions(graph: nx.MultiGraph) -> None:
    """Merge junctions closer than the vessel radius, so that a fork of wide vessels is one node.

    Thinning splits a junction of n vessels into n - 2 junctions of three, and a hole in a wide
    vessel makes a ring of them; both lie inside the vessel. The shortest links are merged first.
    """
    while True:
        inside = []
        degree = dict(graph.degree())  # looking these up one by one would take seconds
        for a, b, key, data in graph.edges(keys=True, data=True):
            if a == b or degree[a] < 3 or degree[b] < 3:
                continue
            reach = max(graph.nodes[a]["radius"], graph.nodes[b]["radius"])
            path = data["path"]
            if dist(path[0], path[-1]) > reach:  # no path is shorter than its chord
                continue
            if (length := path_length(path)) < reach:
                inside.append((length, a, b, key))
        if not inside:
            break
        gone: set[int] = set()
        for _, a, b, _key in sorted(inside):
            if a not in gone and b not in gone:
                keep, leave = (
                    (a, b) if graph.nodes[a]["radius"] >= graph.nodes[b]["radius"] else (b, a)
                )
                _merge_into(graph, keep, leave)
                gone.add(leave)
                gone.add(keep)  # its degree has changed: reconsider it in the next round
    _drop_rings(graph)


def _merge_into(graph: nx.MultiGraph, keep: int, leave: int) -> None:
    """Move all edges of one node to another, and drop those that then lie within the vessel."""
    place = graph.nodes[keep]["position"]
    around = 2 * np.pi * max(graph.nodes[keep]["radius"], graph.nodes[leave]["radius"])
    for a, b, data in list(graph.edges(leave, data=True)):
        other = b if a == leave else a
        path, radius = oriented(data, graph.nodes[leave]["position"])
        if other in (keep, leave) and path_length(path) < around:
            continue
        path, radius = np.concatenate([place[None], path]), np.concatenate([radius[:1], radius])
        if other == leave:
            path, radius = np.concatenate([path, place[None]]), np.append(radius, radius[-1])
            other = keep
        graph.add_edge(keep, other, path=path, radius=radius)
    graph.remove_node(leave)


def oriented(
    data: dict[str, NDArray[np.float64]], start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Path and radii of an edge, starting from the end at `start`."""
    path, radius = data["path"], data["radius"]
    first, last = ((path[k] - start) @ (path[k] - start) for k in (0, -1))
    return (path, radius) if first <= last else (path[::-1], radius[::-1])


def _drop_rings(graph: nx.MultiGraph) -> None:
    """Drop loops within a vessel: rings, and parallel paths that stay within a diameter."""
    for a, b, key, data in list(graph.edges(keys=True, data=True)):
        if a == b and path_length(data["path"]) < 2 * np.pi * graph.nodes[a]["radius"]:
            graph.remove_edge(a, b, key)
    for a, b in {tuple(sorted(pair)) for pair in graph.edges() if pair[0] != pair[1]}:
        parallel = graph.get_edge_data(a, b)
        if parallel is None or len(parallel) < 2:
            continue
        order = sorted(parallel, key=lambda key: -float(np.mean(parallel[key]["radius"])))
        kept = order[:1]
        for key in order[1:]:
            path = parallel[key]["path"]
            if any(_together(path, parallel[other]) for other in kept):
                graph.remove_edge(a, b, key)
            else:
                kept.append(key)


def _together(path: NDArray[np.float64], other: dict[str, NDArray[np.float64]]) -> bool:
    """Whether a path stays within a diameter of another."""
    apart = np.sqrt(((path[:, None] - other["path"][None]) ** 2).sum(axis=2))
    nearest = apart.argmin(axis=1)
    return bool((apart.min(axis=1) < 2 * other["radius"][nearest]).all())


def join_passing(graph: nx.MultiGraph) -> None:
    """Join the two vessels at every node of degree two."""
    for node in [n for n, degree in graph.degree() if degree == 2]:
        edges = list(graph.edges(node, data=True))
        if len(edges) != 2:  # a ring
            continue
        here = graph.nodes[node]["position"]
        outer = [b if a == node else a for a, b, _ in edges]
        (head, wide_head), (tail, wide_tail) = (oriented(data, here) for _, _, data in edges)
        graph.add_edge(
            *outer,
            path=np.concatenate([head[::-1], tail[1:]]),
            radius=np.concatenate([wide_head[::-1], wide_tail[1:]]),
        )
        graph.remove_node(node)


def prune(graph: nx.MultiGraph, diameters: float) -> None:
    """Drop short side branches with a free end, shortest first.

    Parameters
    ----------
    graph
        Changed in place.
    diameters
        Branches shorter than this multiple of the diameter at their junction are dropped.
    """
    while True:
        spurs = []
        for node, degree in graph.degree():
            if degree != 1:
                continue
            ((a, b, key, data),) = graph.edges(node, keys=True, data=True)
            base = b if a == node else a
            if graph.degree(base) < 3:
                continue
            length = path_length(data["path"])
            if length < diameters * 2 * graph.nodes[base]["radius"]:
                spurs.append((length, node, base, key))
        if not spurs:
            return
        touched: set[int] = set()
        for _, node, base, _key in sorted(spurs):
            # One spur per junction and round: the longer of two may be the end of the vessel.
            if base not in touched and graph.degree(base) >= 3:
                graph.remove_node(node)
                touched.add(base)
        join_passing(graph)


def drop_small_pieces(graph: nx.MultiGraph, length_um: float) -> None:
    """Drop connected components with less than this total length of vessels."""
    pieces = list(nx.connected_components(graph))
    piece_of = {node: k for k, piece in enumerate(pieces) for node in piece}
    total = [0.0] * len(pieces)
    for a, _, data in graph.edges(data=True):
        if total[piece_of[a]] < length_um:
            total[piece_of[a]] += path_length(data["path"])
    for piece, length in zip(pieces, total, strict=True):
        if length < length_um:
            graph.remove_nodes_from(piece)
