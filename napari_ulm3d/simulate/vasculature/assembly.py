"""Join an arterial and a venous forest through a capillary mesh to one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_ulm3d.simulate.vasculature.cortex import Forest
from napari_ulm3d.simulate.vasculature.curves import bend
from napari_ulm3d.simulate.vasculature.growth import main_children, murray_radii, scattered
from napari_ulm3d.simulate.vasculature.mesh import relative_neighbours
from napari_ulm3d.simulate.vasculature.network import ARTERY, CAPILLARY, VEIN, VesselNetwork

if TYPE_CHECKING:
    from napari_ulm3d.simulate.vasculature.config import VasculatureConfig

__all__ = ["assemble", "feeders"]


def feeders(
    box: NDArray[np.float64], number: int, depth: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Alternating positions of arteries and veins on the rim of the surface: (number, 3) each, um.

    `depth` (2,): depth of the two kinds below the top of the box.
    """
    size = box[1] - box[0]
    around = 2 * (size[1] + size[2])
    at = (np.arange(2 * number) + rng.random() + rng.uniform(-0.2, 0.2, 2 * number)) / (2 * number)
    s = (at % 1.0) * around
    corners = np.cumsum([size[2], size[1], size[2]])
    side = np.searchsorted(corners, s, side="right")
    y = np.select([side == 0, side == 1, side == 2], [0.0, s - corners[0], size[1]], around - s)
    x = np.select([side == 0, side == 1, side == 2], [s, size[2], corners[2] - s], 0.0)
    if size[1] == 0:
        # Without a rim they enter from the two sides, one below the other.
        x = np.where(np.arange(2 * number) // 2 % 2 == 0, 0.0, size[2])
        y = np.zeros(2 * number)
    points = box[0] + np.stack([np.zeros(2 * number), y, x], axis=1)
    rank = np.arange(number)[:, None] * np.array([[1.0, 0.0, 0.0]])
    gap = 0.1 * depth[0] if size[1] == 0 else 0.0
    return (
        points[0::2] + [[depth[0], 0, 0]] + gap * rank,
        points[1::2] + [[depth[1], 0, 0]] + gap * rank,
    )


def assemble(
    forests: list[Forest],
    box: NDArray[np.float64],
    spacing: float,
    config: VasculatureConfig,
    rng: np.random.Generator,
) -> VesselNetwork:
    """Join two forests, arteries and veins, through a capillary mesh, and bend all vessels.

    Radii follow Murray's law from the forests' ends upwards; ends are nodes of the mesh.
    """
    bed = scattered(box, spacing, rng)
    nodes = np.concatenate([*(f.nodes_um for f in forests), bed])
    edges, leaving, arriving, radius, kind, ends = [], [], [], [], [], []
    offset = 0
    for forest, code, end in (
        (forests[0], ARTERY, config.arteriole_radius_um),
        (forests[1], VEIN, config.venule_radius_um),
    ):
        n = len(forest.parent)
        tip = end * np.clip(rng.normal(1, 0.1, n), 0.7, 1.3)
        width = murray_radii(forest.parent, tip, config.murray_exponent)
        child = np.flatnonzero(forest.parent >= 0)
        parent = forest.parent[child]
        out, into = _directions(forest, child, width)
        edges.append(np.stack([parent, child], axis=1) + offset)
        leaving.append(out)
        arriving.append(into)
        radius.append(width[child])
        kind.append(np.full(child.size, code, np.int8))
        ends.append(forest.ends + offset)
        offset += n
    meshed = np.concatenate([*ends, offset + np.arange(len(bed))])
    pairs = meshed[relative_neighbours(nodes[meshed])]
    pairs = _without_shunts(pairs, np.concatenate(edges), ends, len(nodes))
    tips = np.concatenate(ends)
    pairs = _with_all_tips(_without_dead_ends(pairs, len(nodes), tips), nodes, tips)
    straight = _unit(nodes[pairs[:, 1]] - nodes[pairs[:, 0]])
    edges.append(pairs)
    leaving.append(straight)
    arriving.append(straight)
    radius.append(config.capillary_radius_um * np.clip(rng.normal(1, 0.12, len(pairs)), 0.7, 1.4))
    kind.append(np.full(len(pairs), CAPILLARY, np.int8))
    kinds, radii = np.concatenate(kind), np.concatenate(radius)
    # Wide vessels are straighter.
    slender = np.minimum(2 * config.arteriole_radius_um / radii, 1.0)
    sway = config.tortuosity * np.where(kinds == CAPILLARY, 2.0, slender)
    points, segments, edge = bend(
        nodes, np.concatenate(edges), np.concatenate(leaving), np.concatenate(arriving),
        sway, config.step_um or spacing / 6, box, rng,
    )  # fmt: skip
    network = VesselNetwork(points, segments, radii[edge], None, kinds[edge], "grown cortex")
    return network.selected(network.length_um > 0)


def _directions(
    forest: Forest, child: NDArray[np.int64], width: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions at both ends of the edges to `child`, such that main vessels are smooth.

    A node's own direction leads from its parent to its widest child; a side branch mostly
    follows its own direction.
    """
    nodes, parent = forest.nodes_um, forest.parent
    main = main_children(parent, width)
    behind = np.where(parent >= 0, parent, np.arange(len(parent)))
    ahead = np.where(main >= 0, main, np.arange(len(parent)))
    course = _unit(nodes[ahead] - nodes[behind])
    up = parent[child]
    chord = _unit(nodes[child] - nodes[up])
    is_main = main[up] == child
    side = _unit(0.3 * course[up] + 0.7 * chord)
    return np.where(is_main[:, None], course[up], side), course[child]


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.linalg.norm(vector, axis=1, keepdims=True)
    return vector / np.where(norm > 0, norm, 1)


def _without_shunts(
    pairs: NDArray[np.int64], tree: NDArray[np.int64], ends: list[NDArray[np.int64]], n_nodes: int
) -> NDArray[np.int64]:
    """Drop capillaries that directly join an artery and a vein, unless nothing else does."""
    shunt = np.isin(pairs, ends[0]).any(axis=1) & np.isin(pairs, ends[1]).any(axis=1)
    rest = np.concatenate([tree, pairs[~shunt]])
    graph = coo_array((np.ones(len(rest)), tuple(rest.T)), shape=(n_nodes, n_nodes))
    label = connected_components(graph, directed=False)[1]
    return pairs[~shunt | (label[pairs[:, 0]] != label[pairs[:, 1]])]


def _without_dead_ends(
    pairs: NDArray[np.int64], n_nodes: int, kept: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Repeatedly drop capillaries with a dead end; nodes in `kept` are never dead ends."""
    while True:
        degree = np.bincount(pairs.ravel(), minlength=n_nodes)
        degree[kept] = 2
        alive = (degree[pairs] > 1).all(axis=1)
        if alive.all():
            return pairs
        pairs = pairs[alive]


def _with_all_tips(
    pairs: NDArray[np.int64], nodes: NDArray[np.float64], tips: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Join tree ends without a capillary to the nearest node of the mesh."""
    meshed = np.setdiff1d(pairs, tips)
    lonely = np.setdiff1d(tips, pairs)
    if not (meshed.size and lonely.size):
        return pairs
    nearest = cKDTree(nodes[meshed]).query(nodes[lonely])[1]
    return np.concatenate([pairs, np.stack([lonely, meshed[nearest]], axis=1)])
