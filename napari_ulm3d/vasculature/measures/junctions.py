"""Junctions: balance of the flows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.vasculature.graph import JUNCTION_COLUMNS

__all__ = ["junction_table"]

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
