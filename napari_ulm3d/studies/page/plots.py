"""Figures of a study: one point per animal, and effect sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.report.figures import address_of, small_axes
from napari_ulm3d.studies.config import MEASURES, StudyConfig

__all__ = ["animals_image", "effects_image"]

_COLORS = ("#4a4f57", "#2f6f9f", "#b5452c", "#3d8b4f", "#8d5aa8", "#a9822b")


def animals_image(values: pd.DataFrame, measure: str, config: StudyConfig) -> str:
    """Plot a measure: one point per animal, joined over time, with means and their intervals.

    Parameters
    ----------
    values
        One row per animal and time: animal, group, time, and the measure.
    """
    groups, times = config.groups, config.time_points
    columns = [(group, time) for group in groups for time in times]
    place = {column: k + 0.6 * groups.index(column[0]) for k, column in enumerate(columns)}
    figure, axes = small_axes(max(2.2, 0.9 + 0.62 * len(columns)), 2.5)
    for (_, group), own in values.groupby(["animal", "group"], sort=False):
        color = _COLORS[groups.index(group) % len(_COLORS)]
        known = own.dropna(subset=[measure])
        at = [place[(group, time)] for time in known["time"]]
        axes.plot(at, known[measure], "o-", ms=3.5, lw=0.7, color=color, alpha=0.7)
    for (group, time), x in place.items():
        of = (values["group"] == group) & (values["time"] == time)
        told = values.loc[of, measure].dropna().to_numpy(np.float64)
        if len(told) > 1:
            low, high = _interval(told, config.alpha)
            middle = float(told.mean())
            bars = [[middle - low], [high - middle]]
            axes.errorbar(x + 0.25, middle, bars, fmt="_", ms=9, color="k", capsize=3, lw=1.2)
    labels = [" ".join(part for part in column if part) for column in columns]
    axes.set_xticks(list(place.values()), labels, rotation=30 if len(columns) > 3 else 0)
    axes.set_xlim(-0.5, max(place.values()) + 0.7)
    axes.set_ylim(bottom=0 if measure != "tortuosity" else None)
    name, unit = MEASURES[measure]
    axes.set_ylabel(f"{name} ({unit})" if unit else name)
    return address_of(figure)


def effects_image(rows: pd.DataFrame, names: list[str], alpha: float) -> str:
    """Plot Hedges' g of each comparison with its interval."""
    figure, axes = small_axes(5.6, 0.7 + 0.24 * len(rows))
    at = np.arange(len(rows))[::-1]
    found = (rows["p_corrected"] < alpha).to_numpy()
    for k, row in enumerate(rows.to_dict("records")):
        color = "#b5452c" if found[k] else "#4a4f57"
        axes.plot([row["g_low"], row["g_high"]], [at[k]] * 2, "-", lw=1.4, color=color)
        axes.plot(row["g"], at[k], "s", ms=4, color=color)
    axes.axvline(0, color="#999", lw=0.8)
    axes.set_yticks(at, names)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("Hedges' g (standard deviations)")
    return address_of(figure)


def _interval(values: np.ndarray, alpha: float) -> tuple[float, float]:
    from scipy import stats

    half = stats.t.isf(alpha / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)
