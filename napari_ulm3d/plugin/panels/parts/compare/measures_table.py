"""Measurements on one or two maps as tables: values and profiles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.evaluate import FEWEST_IN_A_WIDTH
from napari_ulm3d.plugin.jobs.measure import Measured
from napari_ulm3d.system.shown_units import shown_as

__all__ = ["caution", "measure_rows", "profile_table"]


def measure_rows(measured: tuple[Measured, ...]) -> list[tuple[str, ...]]:
    """Rows of a name and the values for A and B."""
    columns: list[list[tuple[str, str]]] = []
    for one in measured:
        if one.region is not None:
            columns.append(one.region.rows())
        elif one.profile is not None and one.width is not None:
            unit = f" {shown_as(one.profile.unit)}" if one.profile.unit else ""
            width = one.width
            fwhm = (
                f"{width.fwhm_um:.1f} µm"
                if np.isfinite(width.fwhm_um)
                else "half maximum not reached on both sides"
            )
            columns.append(
                [
                    ("full width at half maximum", fwhm),
                    ("tracks in the peak", f"{one.n_tracks:,}"),
                    ("peak", f"{width.peak:.4g}{unit}"),
                    ("peak position", f"{width.peak_um:.1f} µm"),
                    ("mean", f"{float(one.profile.values.mean()):.4g}{unit}"),
                    ("length", f"{one.profile.distance_um[-1]:.1f} µm"),
                ]
            )
    if not columns:
        return []
    return [(name, *(column[k][1] for column in columns)) for k, (name, _) in enumerate(columns[0])]


def caution(measured: tuple[Measured, ...]) -> str:
    """A warning if a width was measured on too few tracks; otherwise empty."""
    letters = "AB" if len(measured) > 1 else [""]
    few = [
        (letter, one.n_tracks)
        for letter, one in zip(letters, measured, strict=False)
        if one.width is not None
        and np.isfinite(one.width.fwhm_um)
        and one.n_tracks < FEWEST_IN_A_WIDTH
    ]
    if not few:
        return ""
    counts = ", ".join(
        f"{letter + ': ' if letter else ''}{n} track{'' if n == 1 else 's'}" for letter, n in few
    )
    meaning = (
        "A single track is drawn one voxel wide: this is not the width of a vessel."
        if all(n <= 1 for _, n in few)
        else f"With fewer than {FEWEST_IN_A_WIDTH} tracks, the width of a vessel is underestimated."
    )
    return f"Too few tracks for a width ({counts}). {meaning} Average over a wider band or slab."


def profile_table(measured: tuple[Measured, ...]) -> pd.DataFrame:
    """Columns: distance, and the map along the line for A and B."""
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
