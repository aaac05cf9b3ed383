"""Compare measured vessels with the true network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.simulate.vasculature import VesselNetwork
from napari_ulm3d.simulate.vasculature.branches import branches
from napari_ulm3d.vasculature import VesselGraph

__all__ = ["Found", "compare"]

_STEP_UM = 4.0
_NEAR_UM = 15.0


@dataclass(frozen=True)
class Found:
    """Recall and precision by length, and one row per vessel that lies in one true branch."""

    recall: float
    precision: float
    vessels: pd.DataFrame


def compare(
    graph: VesselGraph, network: VesselNetwork, widest_from_um: float, slowest_mm_s: float = 0.2
) -> Found:
    """Compare by length: a piece is found if a centreline runs within the vessel (or 15 um).

    Recall is over true vessels at least `widest_from_um` wide with a mean speed of at least
    `slowest_mm_s`; precision is over measured vessels at least that wide.
    """
    truth = _samples(network)
    place = truth[["z", "y", "x"]].to_numpy()
    within = np.maximum(truth["diameter"].to_numpy() / 2, _NEAR_UM)
    points = np.concatenate(graph.paths)
    owner = np.repeat(np.arange(len(graph)), [len(path) for path in graph.paths])
    wanted = ((truth["diameter"] > widest_from_um) & (truth["speed"] > slowest_mm_s)).to_numpy()
    apart, _ = cKDTree(points).query(place[wanted])
    distance, nearest = cKDTree(place).query(points)
    near = distance < within[nearest]
    wide = graph.table["diameter_um"].to_numpy()[owner] > widest_from_um
    rows = []
    for k, path in enumerate(graph.paths):
        of = owner == k
        row = _one(path, nearest[of], near[of], truth)
        if row is not None:
            rows.append(row | graph.table.iloc[k].to_dict())
    return Found(
        float((apart < within[wanted]).mean()) if wanted.any() else np.nan,
        float(near[wide].mean()) if wide.any() else np.nan,
        pd.DataFrame(rows),
    )


def _samples(network: VesselNetwork) -> pd.DataFrame:
    """The network as points every few micrometres.

    Where segments of a branch differ in radius, simulated bubbles pass the joint within the
    narrower one, and their distance from the centreline changes linearly in between. The diameter is
    that of the lumen that they can fill.
    """
    speed, flow = network.mean_speed_mm_s, np.abs(network.flow_nl_min)
    parts = []
    for number, (nodes, chain) in enumerate(branches(network)):
        begun = 0.0
        radius = network.radius_um[chain]
        joint = np.concatenate([radius[:1], np.minimum(radius[1:], radius[:-1]), radius[-1:]])
        for k, (segment, a, b) in enumerate(zip(chain, nodes[:-1], nodes[1:], strict=True)):
            start, stop = network.nodes_um[a], network.nodes_um[b]
            length = float(np.linalg.norm(stop - start))
            n = max(1, int(np.ceil(length / _STEP_UM)))
            share = (np.arange(n) + 0.5) / n
            at = start + share[:, None] * (stop - start)
            parts.append(
                pd.DataFrame(
                    {
                        "z": at[:, 0],
                        "y": at[:, 1],
                        "x": at[:, 2],
                        "branch": number,
                        "arc": begun + share * length,
                        "diameter": 2 * (joint[k] + share * (joint[k + 1] - joint[k])),
                        "speed": speed[segment],
                        "flow": flow[segment],
                    }
                )
            )
            begun += length
    return pd.concat(parts, ignore_index=True)


def _one(
    path: NDArray[np.float64],
    nearest: NDArray[np.int64],
    near: NDArray[np.bool_],
    truth: pd.DataFrame,
) -> dict[str, float] | None:
    """True values of a measured vessel, if most of it lies in one branch."""
    n = len(path)
    middle = np.zeros(n, bool)
    middle[n // 5 : n - n // 5] = True
    if not (near & middle).any():
        return None
    branch = truth["branch"].to_numpy()[nearest]
    main = np.bincount(branch[near & middle]).argmax()
    inside = near & (branch == main)
    if inside[middle].mean() < 0.6 or near.mean() < 0.7:
        return None
    first, last = np.flatnonzero(inside)[[0, -1]]
    own = np.linalg.norm(np.diff(path[first : last + 1], axis=0), axis=1).sum()
    arc = truth["arc"].to_numpy()[nearest]
    there = truth.iloc[nearest[inside]]
    return {
        "true_diameter": float(there["diameter"].mean()),
        "true_speed": float(there["speed"].mean()),
        "true_flow": float(there["flow"].mean()),
        "true_stretch": float(abs(arc[last] - arc[first])),
        "own_stretch": float(own),
    }
