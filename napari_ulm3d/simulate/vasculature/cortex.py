"""Vessel trees of a piece of cortex: surface vessels, penetrating vessels and their branches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.vasculature.growth import grow, scattered

__all__ = ["Forest", "grow_forest", "penetrators"]


@dataclass(frozen=True)
class Forest:
    """Trees of one kind: nodes (n, 3), um, and the parent of each, (n,), -1 for a root."""

    nodes_um: NDArray[np.float64]
    parent: NDArray[np.int64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """Nodes without children."""
        return np.flatnonzero(
            np.bincount(self.parent[self.parent >= 0], minlength=len(self.parent)) == 0
        )


def penetrators(
    box_um: NDArray[np.float64], spacing_um: float, artery_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions where arteries and veins dive from the surface: (a, 3) and (v, 3), um.

    Kinds are distributed evenly: both occur in proportion in any small region.
    """
    surface = box_um.copy()
    surface[1, 0] = surface[0, 0]
    points = scattered(surface, spacing_um, rng)
    if len(points) < 2:
        points = np.repeat(surface.mean(axis=0)[None], 2, axis=0)
        points += [[0, 0, -0.2], [0, 0, 0.2]] * (surface[1] - surface[0])
    # Ranks within a strip, rather than independent draws, keep the kinds from clumping.
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
    """Grow the trees of one kind, from the feeding vessels at the rim to the supplied points.

    Surface vessels (at `depth_um` below the top of the box) run from the feeders to the tops
    of the penetrating vessels, a third of which dive through most of the depth. The points to
    be supplied are joined to these trunks by side branches.
    """
    surface = box_um[0, 0] + depth_um
    tops = tops_um.copy()
    tops[:, 0] = surface
    # A feeder enters as a single vessel and branches some distance inside.
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
    """Nodes (n, 3) of a penetrating vessel below its top: straight down with slow undulations."""
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
