"""Table of all comparisons of a study: groups, changes over time, changes between groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from napari_ulm3d.studies.config import StudyConfig
from napari_ulm3d.studies.measures import WHOLE
from napari_ulm3d.studies.statistics.correction import corrected
from napari_ulm3d.studies.statistics.effects import Effect, detectable, independent, paired
from napari_ulm3d.studies.statistics.wording import in_words

__all__ = ["compare"]


@dataclass(frozen=True)
class _Pair:
    """A comparison of `b` with `a`; `kind` is groups, change or change between groups."""

    kind: str
    a: str
    b: str
    time: str
    effect: Effect
    pairs: bool = False


def compare(measures: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """Compare groups and time points, with the animal as the unit.

    Several scans of an animal at one time are averaged first. Three comparisons are made: groups at
    each time; each later time with the first, within the animals of a group that have both; and
    the changes since the first time between groups. Vessels are not independent samples: those of
    one animal share its blood pressure, bubbles and map.

    Parameters
    ----------
    measures
        One row per scan and region: animal, group, time, region, and a column for each measure.
    config
        Order of groups and times, test, correction.

    Returns
    -------
    pandas.DataFrame
        One row per comparison: measure, region, kind, a, b, time, the fields of `Effect`,
        `percent` and its interval (of mean_a; NaN for changes between groups), `family`,
        `p_corrected`, `detectable` (smallest detectable difference), `says`.
    """
    from napari_ulm3d.studies.config import MEASURES

    rows = []
    for region in dict.fromkeys(measures["region"]):
        of_region = measures[measures["region"] == region]
        by_animal = of_region.groupby(["group", "animal", "time"], sort=False)
        values = by_animal[list(MEASURES)].mean()
        for measure in MEASURES:
            wide = values[measure].unstack("time").reindex(columns=list(config.time_points))
            main = region == WHOLE and measure in config.primary
            rows += [
                {
                    "measure": measure,
                    "region": region,
                    "family": "primary" if main else "exploratory",
                    **_row(pair),
                }
                for pair in _pairs(wide, config)
            ]
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    table["p_corrected"] = np.nan
    for _, rows_of in table.groupby("family").groups.items():
        p = table.loc[rows_of, "p"]
        table.loc[rows_of, "p_corrected"] = corrected(p, config.correction)
        level = config.alpha / max(1, int(p.notna().sum()))
        table.loc[rows_of, "detectable"] = [
            _detectable(row, level) for row in table.loc[rows_of].to_dict("records")
        ]
    table["says"] = [in_words(row, config) for row in table.to_dict("records")]
    return table.drop(columns="pairs")


def _pairs(measured: pd.DataFrame, config: StudyConfig) -> Iterator[_Pair]:
    """All pairs for one measure: (group, animal) x (time), NaN where an animal was not scanned."""
    groups, times = config.groups, config.time_points
    if config.control is None:
        facing = list(combinations(groups, 2))
    else:
        facing = [(config.control, group) for group in groups if group != config.control]
    of = measured.index.get_level_values("group")
    wide = {group: measured[of == group] for group in groups}
    alpha, test = config.alpha, config.test
    for time in times:
        for a, b in facing:
            of_a, of_b = (wide[g][time].dropna().to_numpy(np.float64) for g in (a, b))
            if len(of_a) or len(of_b):
                yield _Pair("groups", a, b, time, independent(of_a, of_b, alpha, test))
    first = times[0]
    changes = {}
    for time in times[1:]:
        for group in groups:
            both = wide[group][[first, time]].dropna()
            before, after = (both[t].to_numpy(np.float64) for t in (first, time))
            changes[group] = after - before
            if len(both):
                effect = paired(before, after, alpha, test)
                yield _Pair("change", group, group, time, effect, pairs=True)
        for a, b in facing:
            if len(changes[a]) and len(changes[b]):
                effect = independent(changes[a], changes[b], alpha, test)
                yield _Pair("change between groups", a, b, time, effect)


def _row(pair: _Pair) -> dict[str, object]:
    effect = pair.effect
    # Percent of a change is not meaningful.
    base = effect.mean_a if pair.kind != "change between groups" and effect.mean_a > 0 else np.nan
    percent = {
        name: 100 * value / base
        for name, value in (
            ("percent", effect.difference),
            ("percent_low", effect.low),
            ("percent_high", effect.high),
        )
    }
    told = {"kind": pair.kind, "a": pair.a, "b": pair.b, "time": pair.time, "pairs": pair.pairs}
    return told | asdict(effect) | percent


def _detectable(row: dict[str, object], level: float) -> float:
    spread, n_a, n_b = float(row["spread"]), int(row["n_a"]), int(row["n_b"])  # type: ignore[call-overload,arg-type]
    if not np.isfinite(spread):
        return np.nan
    return spread * detectable(n_a, None if row["pairs"] else n_b, level)
