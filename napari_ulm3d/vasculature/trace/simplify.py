"""What thinning leaves that is no vessel: split junctions, spurs, holes in wide vessels."""

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
    """Merge junctions that lie within each other's vessel: a fork of wide vessels is one node.

    Thinning splits a junction of n vessels into n - 2 junctions of three, and a hole in a wide
    vessel makes a ring of them; both lie inside the vessel. The shortest go first.
    """
    while True:
        inside = []
        degree = dict(graph.degree())  # asked of a multigraph one by one it takes seconds
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
                gone.add(keep)  # its degree has changed: judged anew in the next round
    _drop_rings(graph)


def _merge_into(graph: nx.MultiGraph, keep: int, leave: int) -> None:
    """Move all edges of one node to another; what then lies within the vessel is dropped."""
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
    """Path and radii of an edge, run from the end that lies at `start`."""
    path, radius = data["path"], data["radius"]
    first, last = ((path[k] - start) @ (path[k] - start) for k in (0, -1))
    return (path, radius) if first <= last else (path[::-1], radius[::-1])


def _drop_rings(graph: nx.MultiGraph) -> None:
    """Drop loops that lie within a vessel: of two paths between two nodes that stay together."""
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
    """Whether a path stays within a diameter of another one."""
    apart = np.sqrt(((path[:, None] - other["path"][None]) ** 2).sum(axis=2))
    nearest = apart.argmin(axis=1)
    return bool((apart.min(axis=1) < 2 * other["radius"][nearest]).all())


def join_passing(graph: nx.MultiGraph) -> None:
    """Join the two vessels at every node where just two meet."""
    for node in [n for n, degree in graph.degree() if degree == 2]:
        edges = list(graph.edges(node, data=True))
        if len(edges) != 2:  # a ring that begins and ends here
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
    """Drop side branches with a free end that hardly leave their vessel, shortest first.

    Parameters
    ----------
    graph
        Changed in place.
    diameters
        Those shorter than this times the diameter at their junction go.
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
            # At one junction one spur a round: of two, the longer may be the vessel's own end.
            if base not in touched and graph.degree(base) >= 3:
                graph.remove_node(node)
                touched.add(base)
        join_passing(graph)


def drop_small_pieces(graph: nx.MultiGraph, length_um: float) -> None:
    """Drop connected pieces with less than this length of vessels in all."""
    pieces = list(nx.connected_components(graph))
    piece_of = {node: k for k, piece in enumerate(pieces) for node in piece}
    total = [0.0] * len(pieces)
    for a, _, data in graph.edges(data=True):
        if total[piece_of[a]] < length_um:
            total[piece_of[a]] += path_length(data["path"])
    for piece, length in zip(pieces, total, strict=True):
        if length < length_um:
            graph.remove_nodes_from(piece)
