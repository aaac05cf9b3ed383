"""Junctions: balance of the flows, and classification into arteries and veins."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.vasculature.graph import JUNCTION_COLUMNS

__all__ = ["junction_table", "kinds_of"]

_WITHIN_95 = 1.96


def junction_table(nodes_um: NDArray[np.float64], vessels: pd.DataFrame) -> pd.DataFrame:
    """One row per node where three or more vessels meet, with its flow balance.

    The balance is NaN if the flow of a vessel is unknown.
    """
    a, b = vessels["node_a"].to_numpy(), vessels["node_b"].to_numpy()
    flow = vessels["flow_nl_min"].to_numpy()
    error = vessels["flow_error_nl_min"].to_numpy()
    n = len(nodes_um)
    degree = np.bincount(a, minlength=n) + np.bincount(b, minlength=n)
    inflow, outflow = np.bincount(b, flow, n), np.bincount(a, flow, n)
    ring = a == b  # the flow that leaves a ring returns
    variance = np.bincount(a[~ring], error[~ring] ** 2, n) + np.bincount(
        b[~ring], error[~ring] ** 2, n
    )
    node = np.flatnonzero(degree >= 3)
    balance = (inflow - outflow)[node]
    within = _WITHIN_95 * np.sqrt(variance[node])
    balanced = np.where(np.isfinite(balance + within), np.abs(balance) <= within, np.nan)
    table = pd.DataFrame(
        {
            "node": node,
            "z_um": nodes_um[node, 0],
            "y_um": nodes_um[node, 1],
            "x_um": nodes_um[node, 2],
            "degree": degree[node],
            "inflow_nl_min": inflow[node],
            "outflow_nl_min": outflow[node],
            "balance_nl_min": balance,
            "balance_error_nl_min": within,
            "balanced": balanced,
        }
    )
    return table[list(JUNCTION_COLUMNS)]


def kinds_of(vessels: pd.DataFrame) -> list[str]:
    """Classify each vessel as artery, vein or unknown, from its branching along the flow.

    Arteries divide along the flow and veins join. A vessel that divides downstream and starts
    at a fork or enters the field of view is an artery. A vessel that starts at a confluence and
    ends at another or leaves the field of view is a vein. Terminal branches, capillaries between
    a fork and a confluence, and vessels of unknown flow are unknown.
    """
    known = np.isfinite(vessels["flow_nl_min"].to_numpy())
    a, b = vessels["node_a"].to_numpy(), vessels["node_b"].to_numpy()
    n = int(max(a.max(initial=-1), b.max(initial=-1))) + 1
    arriving, leaving = np.bincount(b[known], minlength=n), np.bincount(a[known], minlength=n)
    unclear = np.bincount(np.concatenate([a[~known], b[~known]]), minlength=n) > 0
    fork = (arriving == 1) & (leaving >= 2) & ~unclear
    meeting = (arriving >= 2) & (leaving == 1) & ~unclear
    enters = (arriving[a] == 0) & (leaving[a] == 1) & ~unclear[a]
    departs = (leaving[b] == 0) & (arriving[b] == 1) & ~unclear[b]
    artery = known & fork[b] & (fork[a] | enters)
    vein = known & meeting[a] & (meeting[b] | departs)
    return [
        "artery" if is_artery else "vein" if is_vein else "unknown"
        for is_artery, is_vein in zip(artery, vein, strict=True)
    ]
