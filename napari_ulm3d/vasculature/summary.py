"""Summarize a vessel graph."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.vasculature.graph import VesselGraph

__all__ = ["summary", "weighted_mean"]


def summary(graph: VesselGraph, *, with_speeds: bool) -> list[tuple[str, str]]:
    """Names and formatted values with units."""
    table = graph.table
    rows = [
        ("vessels", f"{len(table)}, {table['length_um'].sum() / 1000:.2f} mm in all"),
        ("median length", f"{table['length_um'].median():.0f} um"),
        ("diameter, by length", _quartiles(table, "diameter_um", "um")),
        ("median tortuosity", f"{table['tortuosity'].median():.2f}"),
    ]
    if "predicted" in graph.facts:
        rows.insert(0, ("PREDICTED, not measured", str(graph.facts["predicted"])))
    if with_speeds:
        known = int(table["diameter_um"].notna().sum())
        told = graph.junctions["balanced"].dropna()
        error = [float(graph.facts.get(f"localization_error_{a}_um", np.nan)) for a in "zyx"]
        rows += [
            ("vessels with enough tracks", f"{known} of {len(table)}"),
            ("mean speed, by length", _quartiles(table, "mean_speed_mm_s", "mm/s")),
            (
                "flow balance at junctions",
                f"{int(told.sum())} of {len(told)} within their 95 % interval"
                if len(told)
                else "not known at any junction",
            ),
            (
                "localization error taken off",
                f"{', '.join(f'{e:.1f}' for e in error)} um along z, y, x "
                f"({graph.facts.get('localization_error', 'not known')})",
            ),
        ]
    return rows


def weighted_mean(table: pd.DataFrame, name: str, weight: str = "length_um") -> float:
    """Mean of a column over the vessels where it is known, weighted by another column."""
    values, weights = table[name].to_numpy(float), table[weight].to_numpy(float)
    known = np.isfinite(values)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan


def _quartiles(table: pd.DataFrame, name: str, unit: str) -> str:
    """Median and quartiles, weighted by vessel length."""
    known = table[table[name].notna()].sort_values(name)
    if known.empty:
        return "not known"
    share = (known["length_um"].cumsum() - known["length_um"] / 2) / known["length_um"].sum()
    low, middle, high = np.interp([0.25, 0.5, 0.75], share, known[name])
    return f"{middle:.1f} {unit} (quartiles {low:.1f} to {high:.1f})"
