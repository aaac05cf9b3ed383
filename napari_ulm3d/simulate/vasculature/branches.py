"""Branches: chains of segments between nodes where vessels meet or end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.vasculature.network import UNKNOWN, VesselNetwork

__all__ = ["branches", "smoothed"]


def branches(network: VesselNetwork) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Each branch as its nodes (k + 1,) in order and the segments (k,) between them.

    A branch runs between nodes at which one or more than two segments meet; a ring without such
    a node is a branch that begins and ends at one of its own nodes.
    """
    degree = network.degree
    by_node = np.argsort(network.segments.ravel(), kind="stable") // 2
    first = np.concatenate([[0], np.cumsum(degree)])
    used = np.zeros(network.n_segments, bool)
    found = []

    def follow(node: int, segment: int) -> None:
        nodes, chain = [node], []
        while True:
            used[segment] = True
            chain.append(segment)
            a, b = network.segments[segment]
            node = int(b if a == node else a)
            nodes.append(node)
            if degree[node] != 2 or node == nodes[0]:
                break
            s, t = by_node[first[node] : first[node] + 2]
            segment = int(t if s == segment else s)
        found.append((np.array(nodes), np.array(chain)))

    junctions = np.flatnonzero((degree != 2) & (degree > 0))
    for starts in (junctions, np.flatnonzero(degree == 2)):
        for node in starts:
            for segment in by_node[first[node] : first[node + 1]]:
                if not used[segment]:
                    follow(int(node), int(segment))
    return found


def smoothed(network: VesselNetwork, step_um: float) -> VesselNetwork:
    """Resample the branches of a traced network in even steps, without voxel-sized noise.

    Positions and radii along each branch are averaged over a window of about `step_um`; nodes
    where branches meet or end do not move. An existing flow is kept (its mean along the branch).

    Parameters
    ----------
    network
        For example traced from a stack: segments of voxel length, radii of whole voxels.
    step_um
        Length of the new segments, micrometres; about a vessel's diameter is suitable.
    """
    if not (np.isfinite(step_um) and step_um > 0):
        raise ConfigError(f"step_um must be positive, not {step_um}.")
    nodes, segments, radii, flows, kinds = [network.nodes_um], [], [], [], []
    count = network.n_nodes
    length = network.length_um
    for path, chain in branches(network):
        piece = length[chain]
        arc = np.concatenate([[0.0], np.cumsum(piece)])
        pieces = max(round(arc[-1] / step_um), 2 if path[0] == path[-1] else 1)
        at = np.linspace(0.0, arc[-1], pieces + 1)
        half = arc[-1] / pieces / 2
        inner = _window_means(arc, network.nodes_um[path], at[1:-1], half)
        cuts = np.interp(
            at, arc, np.concatenate([[0.0], np.cumsum(piece * network.radius_um[chain])])
        )
        index = np.concatenate([path[:1], count + np.arange(pieces - 1), path[-1:]])
        count += pieces - 1
        nodes.append(inner)
        segments.append(np.stack([index[:-1], index[1:]], axis=1))
        radii.append(np.diff(cuts) / np.diff(at))
        if network.flow_nl_min is not None:
            ahead = np.where(network.segments[chain, 0] == path[:-1], 1.0, -1.0)
            flows.append(np.full(pieces, (network.flow_nl_min[chain] * ahead).mean()))
        if network.kind is not None:
            same = np.unique(network.kind[chain])
            kinds.append(np.full(pieces, same[0] if same.size == 1 else UNKNOWN, np.int8))
    if not segments:
        return network
    whole = VesselNetwork(
        np.concatenate(nodes),
        np.concatenate(segments),
        np.concatenate(radii),
        np.concatenate(flows) if flows else None,
        np.concatenate(kinds) if kinds else None,
        network.name,
    )
    return whole.selected(whole.length_um > 0)


def _window_means(
    arc: NDArray[np.float64],
    points: NDArray[np.float64],
    at: NDArray[np.float64],
    half: float,
) -> NDArray[np.float64]:
    """Mean of a polyline over arc lengths within `half` of each value in `at`, (k, 3)."""
    piece = np.diff(arc)[:, None]
    integral = np.concatenate(
        [np.zeros((1, 3)), np.cumsum((points[1:] + points[:-1]) / 2 * piece, 0)]
    )

    def up_to(s: NDArray[np.float64]) -> NDArray[np.float64]:
        k = np.clip(np.searchsorted(arc, s, side="right") - 1, 0, len(arc) - 2)
        into = (s - arc[k])[:, None]
        slope = (points[k + 1] - points[k]) / piece[k]
        return integral[k] + into * points[k] + into**2 / 2 * slope

    return (up_to(at + half) - up_to(at - half)) / (2 * half)
