"""The page of a study: measurements, tests, and caveats."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from napari_ulm3d._version import __version__
from napari_ulm3d.report.blocks import document, figure, figures_row, table, warning
from napari_ulm3d.studies.config import MEASURES, StudyConfig
from napari_ulm3d.studies.measures import WHOLE
from napari_ulm3d.studies.page.plots import animals_image, effects_image
from napari_ulm3d.studies.statistics.wording import number

__all__ = ["study_page"]


def study_page(
    config: StudyConfig,
    measures: pd.DataFrame,
    comparisons: pd.DataFrame,
    notes: tuple[str, ...],
    failed: Mapping[str, str],
) -> str:
    """The study as a self-contained HTML page; the parameters are the fields of `Study`."""
    groups = ", ".join(
        f"{escape(g)} ({measures.loc[measures['group'] == g, 'animal'].nunique()} animals)"
        for g in config.groups
    )
    parts = [
        f"<h1>{escape(config.name)}</h1>",
        f"<p>3-D ultrasound localization microscopy. Groups: {groups}.</p>",
        *(warning(f"{name} could not be measured: {why}") for name, why in failed.items()),
        *(warning(note) for note in notes),
        "<h2>What the data say</h2>",
        *_family(comparisons, "primary", config),
        "<h2>Animals</h2>",
        figures_row(_of_animals(measures, WHOLE, config)),
    ]
    for region in config.region:
        name = escape(region.name)
        parts += [
            f"<h2>Region: {name}</h2>",
            figures_row(_of_animals(measures, region.name, config)),
        ]
    if not comparisons.empty and (comparisons["family"] == "exploratory").any():
        parts += [
            "<h2>Exploratory comparisons</h2>",
            "<p>Regions, and measures that were not named as primary, corrected among themselves. "
            "They suggest what to test in new animals.</p>",
            *_family(comparisons, "exploratory", config),
        ]
    parts += [
        "<h2>Measures</h2>",
        _values(measures),
        "<h2>Methods</h2>",
        *(f"<p>{escape(text)}</p>" for text in _methods(config)),
    ]
    return document(f"{config.name}: study", parts)


def _family(comparisons: pd.DataFrame, family: str, config: StudyConfig) -> list[str]:
    rows = comparisons if comparisons.empty else comparisons[comparisons["family"] == family]
    if rows.empty:
        return ["<p>There is nothing to compare: one group, at one time.</p>"]
    names = [_name(row, config) for row in rows.to_dict("records")]
    cells = [
        [
            name,
            f"{row['n_a']}, {row['n_b']}",
            f"{number(row['mean_a'])} ± {_or_dash(row['sd_a'])}",
            f"{number(row['mean_b'])} ± {_or_dash(row['sd_b'])}",
            _with_span(row, "difference", "low", "high"),
            _with_span(row, "g", "g_low", "g_high"),
            _or_dash(row["p"]),
            _or_dash(row["p_corrected"]),
            row["says"],
        ]
        for name, row in zip(names, rows.to_dict("records"), strict=True)
    ]
    sides = ("reference, mean ± SD", "compared, mean ± SD")
    header = ["", "n", *sides, "difference", "Hedges' g", "p", "p corr.", ""]
    told = rows["g"].notna().to_numpy()
    shown = []
    if told.any():
        kept = [name for name, known in zip(names, told, strict=True) if known]
        level = f"{100 * (1 - config.alpha):g} %"
        shown = [
            figure(
                effects_image(rows[told], kept, config.alpha),
                f"Sizes of effects with {level} intervals; red: p corrected below {config.alpha:g}.",
            )
        ]
    return [table(header, cells), *shown]


def _name(row: Mapping[str, Any], config: StudyConfig) -> str:
    what = MEASURES[row["measure"]][0]
    where = "" if row["region"] == WHOLE else f", {row['region']}"
    first = config.time_points[0]
    when = f", {row['time']}" if row["time"] else ""
    if row["kind"] == "change":
        return f"{what}{where}: {row['b']}, {first} to {row['time']}"
    if row["kind"] == "change between groups":
        return f"{what}{where}: change from {first} to {row['time']}, {row['b']} against {row['a']}"
    return f"{what}{where}{when}: {row['b']} against {row['a']}"


def _or_dash(value: float) -> str:
    return number(value) if np.isfinite(value) else "-"


def _with_span(row: Mapping[str, Any], name: str, low: str, high: str) -> str:
    if not np.isfinite(row[low]):
        return _or_dash(row[name])
    return f"{number(row[name])} ({number(row[low])} to {number(row[high])})"


def _of_animals(measures: pd.DataFrame, region: str, config: StudyConfig) -> list[str]:
    rows = measures[measures["region"] == region]
    values = rows.groupby(["animal", "group", "time"], sort=False)[list(MEASURES)].mean()
    tidy = values.reset_index()
    order = {time: k for k, time in enumerate(config.time_points)}
    tidy = tidy.sort_values("time", key=lambda column: column.map(order), kind="stable")
    return [
        figure(animals_image(tidy, measure, config), "")
        for measure in MEASURES
        if tidy[measure].notna().any()
    ]


def _values(measures: pd.DataFrame) -> str:
    columns = ["animal", "group", "time", "region", "n_tracks", "measured_share", *MEASURES]
    header = [
        *("animal", "group", "time", "region", "tracks", "share of length with a diameter"),
        *(" ".join(part for part in told if part) for told in MEASURES.values()),
    ]
    shown = measures[columns].assign(n_tracks=[f"{n:,.0f}" for n in measures["n_tracks"]])
    cells = [
        [value if isinstance(value, str) else _or_dash(float(value)) for value in row]
        for row in shown.itertuples(index=False)
    ]
    return table(header, cells)


def _methods(config: StudyConfig) -> list[str]:
    level = f"{100 * (1 - config.alpha):g} %"
    test = (
        "Welch's t test, which allows for unequal variances (within animals: the paired t test)"
        if config.test == "welch"
        else "a permutation test of Welch's t (within animals: of the signs of the differences)"
    )
    correction = {
        "holm": "Holm's method, which bounds the chance of any false finding",
        "benjamini-hochberg": "Benjamini and Hochberg's method, which bounds the share of false findings",
    }[config.correction]
    return [
        "The animal is the unit of all statistics: repeated scans at one time are averaged, and "
        "vessels of one animal are never counted as independent samples.",
        f"Comparisons were made by {test}, two-sided. p-values of the primary measures in the whole "
        f"field, and those of all others, were corrected as two families by {correction}. Intervals "
        f"are of {level} and not corrected. Hedges' g is the difference in standard deviations "
        "(pooled over the groups; within animals of the differences), corrected for small samples, "
        "with its interval by the noncentral t distribution.",
        "A difference that is not shown may still exist: its interval gives the range that remains "
        "possible. The smallest detectable difference is the one that a t test finds in "
        "4 cases of 5, at the level divided by the number of tests of the family.",
        "Vascular fraction: volume of round tubes along the centrelines over the volume of the field "
        "(plane: areas), of vessels with enough tracks for a diameter. Length density: length of "
        "centrelines over volume. Diameter, speed, flow and tortuosity: means over the length of "
        f"vessels. Perfused fraction: share of the field within {config.perfused_within_um:g} µm of "
        "a vessel's wall. All of them depend on how many bubbles were seen; compare scans of "
        "equal length and equal saturation.",
        f"napari-ulm3d {__version__}, SciPy.",
    ]
