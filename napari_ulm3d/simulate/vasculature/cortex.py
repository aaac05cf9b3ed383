"""The trees of a piece of cortex: vessels on the surface, those that dive, and their branches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.vasculature.growth import grow, scattered

__all__ = ["Forest", "grow_forest", "penetrators"]


@dataclass(frozen=True)
class Forest:
    """Trees of one kind: (n, 3) nodes, um, and (n,) the parent of each, -1 for a root."""

    nodes_um: NDArray[np.float64]
    parent: NDArray[np.int64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """Nodes without a child."""
        return np.flatnonzero(
            np.bincount(self.parent[self.parent >= 0], minlength=len(self.parent)) == 0
        )


def penetrators(
    box_um: NDArray[np.float64], spacing_um: float, artery_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where arteries and where veins dive from the surface: (a, 3) and (v, 3), um.

    Kinds are spread evenly: among neighbours in any small region both come in their share.
    """
    surface = box_um.copy()
    surface[1, 0] = surface[0, 0]
    points = scattered(surface, spacing_um, rng)
    if len(points) < 2:
        points = np.repeat(surface.mean(axis=0)[None], 2, axis=0)
        points += [[0, 0, -0.2], [0, 0, 0.2]] * (surface[1] - surface[0])
    # A rank among the sites of a strip, not a coin each, keeps the kinds from clumping.
    turn = np.floor((np.arange(len(points)) + rng.random()) * artery_share)
    artery = np.diff(np.append(turn, np.floor((len(points) + 0.5) * artery_share))) > 0
    artery[rng.integers(len(points))] |= not artery.any()
    if artery.all():
        artery[-1] = False
    return points[artery], points[~artery]


def grow_forest(
    box_um: NDArray[np.float64],
    tops_um: NDArray[np.float64],
    depth_um: float,
    feeders_um: NDArray[np.float64],
    supplied_um: NDArray[np.float64],
    spacing_um: float,
    rng: np.random.Generator,
) -> Forest:
    """The trees of one kind, from the feeding vessels at the rim to the points they supply.

    Vessels on the surface (at `depth_um` below the box's top) run from the feeders to the tops
    of the penetrating vessels, which dive, a third of them through most of the depth; the
    points to be supplied are joined to these trunks by side branches.
    """
    surface = box_um[0, 0] + depth_um
    tops = tops_um.copy()
    tops[:, 0] = surface
    # A feeder is one vessel that comes in some way before it branches.
    inner = feeders_um + (0.08 * (box_um.mean(axis=0) - feeders_um)) * [0, 1, 1]
    pial_parent = grow(inner, tops, 0.4)
    fed = np.unique(pial_parent[pial_parent < len(inner)])
    k = len(fed)
    pial_parent = np.where(
        pial_parent < len(inner), np.searchsorted(fed, pial_parent), pial_parent - len(inner) + k
    )
    nodes = [feeders_um[fed], inner[fed], tops]
    parents = [np.full(k, -1), np.arange(k), k + pial_parent]
    first_top = 2 * k
    count = first_top + len(tops)

    reach = box_um[1, 0] - surface
    deep = rng.random(len(tops)) < 0.35
    share = np.where(deep, rng.uniform(0.65, 0.95, len(tops)), rng.uniform(0.15, 0.6, len(tops)))
    trunks = []
    for i, top in enumerate(tops):
        trunk = _trunk(top, share[i] * reach, spacing_um, box_um, rng)
        index = count + np.arange(len(trunk))
        trunks.append(index)
        nodes.append(trunk)
        parents.append(np.concatenate([[first_top + i], index[:-1]]))
        count += len(trunk)

    trunk_nodes = np.concatenate(trunks)
    joined = np.concatenate(nodes)
    branch_parent = grow(joined[trunk_nodes], supplied_um, 0.5)
    own = branch_parent >= len(trunk_nodes)
    parents.append(
        np.where(
            own,
            count + branch_parent - len(trunk_nodes),
            trunk_nodes[np.minimum(branch_parent, len(trunk_nodes) - 1)],
        )
    )
    return Forest(np.concatenate([joined, supplied_um]), np.concatenate(parents).astype(np.int64))


def _trunk(
    top: NDArray[np.float64],
    length: float,
    spacing_um: float,
    box_um: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(n, 3) nodes of a penetrating vessel below its top: straight down, swaying slowly."""
    n = max(int(np.ceil(length / (0.5 * spacing_um))), 1)
    t = np.arange(1, n + 1) / n
    trunk = np.repeat(top[None], n, axis=0)
    trunk[:, 0] += t * length
    for axis in (1, 2):
        if box_um[1, axis] > box_um[0, axis]:
            lean, bow, phase = rng.normal(size=3)
            trunk[:, axis] += length * (
                0.05 * lean * t + 0.02 * bow * np.sin(2 * np.pi * t + phase)
            )
            trunk[:, axis] -= length * 0.02 * bow * np.sin(phase)
    return np.clip(trunk, box_um[0], box_um[1])
