"""Measures on one map or two as tables: their numbers, and the profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.plugin.jobs.measure import Measured

__all__ = ["measure_rows", "profile_table"]


def measure_rows(measured: tuple[Measured, ...]) -> list[tuple[str, ...]]:
    """Name, and the value of A and of B."""
    columns: list[list[tuple[str, str]]] = []
    for one in measured:
        if one.region is not None:
            columns.append(one.region.rows())
        elif one.profile is not None and one.width is not None:
            unit = f" {one.profile.unit}" if one.profile.unit else ""
            width = one.width
            fwhm = (
                f"{width.fwhm_um:.1f} um"
                if np.isfinite(width.fwhm_um)
                else "half maximum not reached on both sides"
            )
            columns.append(
                [
                    ("full width at half maximum", fwhm),
                    ("peak", f"{width.peak:.4g}{unit}"),
                    ("peak position", f"{width.peak_um:.1f} um"),
                    ("mean", f"{float(one.profile.values.mean()):.4g}{unit}"),
                    ("length", f"{one.profile.distance_um[-1]:.1f} um"),
                ]
            )
    if not columns:
        return []
    return [(name, *(column[k][1] for column in columns)) for k, (name, _) in enumerate(columns[0])]


def profile_table(measured: tuple[Measured, ...]) -> pd.DataFrame:
    """Distance, and the map along the line of A and of B."""
    profiles = [m.profile for m in measured if m.profile is not None]
    table = profiles[0].to_table()
    if len(profiles) == 1:
        return table
    column = table.columns[1]
    tables = [p.to_table()[column] for p in profiles]
    return pd.DataFrame(
        {"distance_um": table["distance_um"]}
        | {f"{letter}: {column}": values for letter, values in zip("AB", tables, strict=False)}
    )
