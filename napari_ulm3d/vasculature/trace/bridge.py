"""Close gaps: join free ends that face each other, if the flow agrees."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature.trace.simplify import join_passing, oriented

__all__ = ["bridge_gaps"]

# The direction of an end is taken over this many radii, and at least this many points.
_STRETCH_RADII, _STRETCH_POINTS = 3.0, 5
# The flow is known if its component along the end exceeds this share of the speed.
_CLEAR = 0.3


@dataclass(frozen=True)
class _End:
    node: int
    position: NDArray[np.float64]
    outward: NDArray[np.float64]
    radius: float
    flow: int  # 1: blood leaves the vessel here, -1: enters, 0: unknown


def bridge_gaps(
    graph: nx.MultiGraph, longest_um: float, angle_deg: float, tracks: Tracks | None
) -> int:
    """Join free ends across gaps, and return the number of gaps closed.

    Two ends are joined if they point at each other within `angle_deg`, the gap is at most
    `longest_um`, and the flow, if known from tracks, leaves one end and enters the other. The
    shortest and straightest gaps are closed first.

    Parameters
    ----------
    graph
        Changed in place.
    longest_um, angle_deg
        Maximum length and angle of a gap.
    tracks
        Tracks of the same acquisition; None: geometry alone.
    """
    ends = _free_ends(graph, tracks)
    if len(ends) < 2 or longest_um <= 0:
        return 0
    places = np.stack([end.position for end in ends])
    cosine = np.cos(np.deg2rad(angle_deg))
    found = []
    reach = longest_um + 2 * max(end.radius for end in ends)
    for i, j in cKDTree(places).query_pairs(reach):
        one, other = ends[i], ends[j]
        gap = other.position - one.position
        length = float(np.sqrt(gap @ gap))
        # Thinning shortens each end by about a radius.
        if length == 0 or length > longest_um + one.radius + other.radius:
            continue
        if one.flow and one.flow == other.flow:
            continue
        facing = (float(one.outward @ gap) / length, -float(other.outward @ gap) / length)
        if min(facing) >= cosine:
            found.append((length * (3 - sum(facing)), i, j))
    used: set[int] = set()
    closed = 0
    for _, i, j in sorted(found):
        if i in used or j in used:
            continue
        one, other = ends[i], ends[j]
        steps = max(2, int(np.ceil(np.linalg.norm(other.position - one.position) / one.radius)) + 1)
        path = np.linspace(one.position, other.position, steps)
        graph.add_edge(
            one.node, other.node, path=path, radius=np.linspace(one.radius, other.radius, steps)
        )
        used |= {i, j}
        closed += 1
    join_passing(graph)
    return closed


def _free_ends(graph: nx.MultiGraph, tracks: Tracks | None) -> list[_End]:
    ends = []
    for node, degree in graph.degree():
        if degree != 1:
            continue
        ((_, _, data),) = graph.edges(node, data=True)
        position = graph.nodes[node]["position"]
        path, radius = oriented(data, position)
        wide = float(np.median(radius[:_STRETCH_POINTS]))
        arc = np.sqrt(((path - position) ** 2).sum(axis=1))
        inner = int(np.argmax(arc >= _STRETCH_RADII * wide)) or len(path) - 1
        inner = min(max(inner, _STRETCH_POINTS), len(path) - 1)
        outward = position - path[inner]
        norm = np.linalg.norm(outward)
        if norm > 0:
            ends.append(_End(node, position, outward / norm, wide, 0))
    return ends if tracks is None else _with_flow(ends, tracks)


def _with_flow(ends: list[_End], tracks: Tracks) -> list[_End]:
    if not (ends and len(tracks)):
        return ends
    tree = cKDTree(tracks.positions_um)
    velocity = tracks.velocities_mm_s
    told = []
    for end in ends:
        near = tree.query_ball_point(end.position, 2 * end.radius)
        flow = 0
        if near:
            v = velocity[near]
            speed = float(np.sqrt((v**2).sum(axis=1)).mean())
            along = float((v @ end.outward).mean())
            flow = int(np.sign(along)) if abs(along) > _CLEAR * speed else 0
        told.append(_End(end.node, end.position, end.outward, end.radius, flow))
    return told
