"""Arteries and veins, from how vessels divide and join along the flow.

Blood divides on its way through arteries and joins on its way through veins. One junction says little: capillary
meshes have as many divisions as confluences, and noise adds both. The evidence of a vessel is therefore the sum over
the junctions that its blood passes, downstream and upstream, each weighted less than the one before it.
Neither depth, axial direction nor diameter is used, so it applies to any organ and orientation.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["arterial_evidence", "kinds_of"]

# Chosen on grown networks 3, 13 and 23 and a traced tree (`python -m benchmarks.vessel_measures --only kinds`).
_FADE = 0.5  # weight of a junction relative to the one before it
_END = 0.8  # a divided vessel that enters the field of view, or a joined one that leaves it
_LEAST = 1.79  # junctions of the same kind at both ends, or at one end and at several beyond, or one and an end
_ROUNDS = 30  # the weight of later junctions is below 1e-6


def kinds_of(vessels: pd.DataFrame) -> list[str]:
    """Classify each vessel as artery, vein or unknown, from its branching along the flow.

    Vessels of unknown flow, with few junctions nearby or with contradictory ones are unknown. Capillaries have no
    class of their own: those near an artery may be called artery.

    Parameters
    ----------
    vessels
        Columns ``node_a`` (upstream), ``node_b`` and ``flow_nl_min`` (NaN: unknown).
    """
    evidence = arterial_evidence(vessels)
    named = np.where(evidence >= _LEAST, "artery", np.where(evidence <= -_LEAST, "vein", "unknown"))
    return [str(name) for name in named]


def arterial_evidence(vessels: pd.DataFrame) -> NDArray[np.float64]:
    """(vessels,) evidence for artery (positive) or vein (negative); 0 where the flow is unknown.

    If the flow were reversed, all signs would change.
    """
    flow = vessels["flow_nl_min"].to_numpy(float)
    known = np.isfinite(flow)
    a, b = vessels["node_a"].to_numpy(), vessels["node_b"].to_numpy()
    n = int(max(a.max(initial=-1), b.max(initial=-1))) + 1
    arriving, leaving = np.bincount(b[known], minlength=n), np.bincount(a[known], minlength=n)
    degree = np.bincount(a, minlength=n) + np.bincount(b, minlength=n)
    sign = _divisions(arriving, leaving, degree - arriving - leaving)
    weight = np.where(known, flow, 0.0)
    downstream, upstream = np.zeros(len(flow)), np.zeros(len(flow))
    for _ in range(_ROUNDS):
        beyond_b = _mean(a, weight, downstream, n)[b]
        before_a = _mean(b, weight, upstream, n)[a]
        downstream = sign[b] + _FADE * beyond_b
        upstream = sign[a] + _FADE * before_a
    enters = (degree[a] == 1) & (sign[b] > 0)
    departs = (degree[b] == 1) & (sign[a] < 0)
    evidence = downstream + upstream + _END * enters - _END * departs
    return np.where(known, evidence, 0.0)


def _divisions(
    arriving: NDArray[np.int64], leaving: NDArray[np.int64], unclear: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(nodes,) 1 where one vessel divides, -1 where vessels join to one; 0 where a flow is unknown."""
    fork = (arriving == 1) & (leaving >= 2)
    meeting = (arriving >= 2) & (leaving == 1)
    return np.where(unclear > 0, 0.0, fork.astype(float) - meeting)


def _mean(
    node: NDArray[np.int64], weight: NDArray[np.float64], value: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """(n,) mean over the vessels at each node, weighted by flow; 0 without any."""
    total = np.bincount(node, weight, n)
    return np.asarray(np.bincount(node, weight * value, n) / np.where(total > 0, total, 1.0))
