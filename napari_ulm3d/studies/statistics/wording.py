"""Express a comparison as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb, isfinite
from typing import Any

from napari_ulm3d.studies.config import MEASURES, StudyConfig
from napari_ulm3d.studies.statistics.effects import FEWEST

__all__ = ["in_words", "number"]


def in_words(row: Mapping[str, Any], config: StudyConfig) -> str:
    """A row of the comparisons as a sentence that claims no more than the data support."""
    n_a, n_b = int(row["n_a"]), int(row["n_b"])
    few = min(n_a, n_b)
    if few < FEWEST:
        have = f"{n_a} animals" if row["pairs"] else f"{n_a} and {n_b} animals"
        return f"{have} are too few to say anything; at least {FEWEST} {_each(row)} are needed."
    if not isfinite(row["p"]):
        return "The values do not vary, so nothing can be tested."
    level = f"{100 * (1 - config.alpha):g} % interval"
    if row["p_corrected"] < config.alpha:
        way = "higher" if row["difference"] > 0 else "lower"
        return (
            f"{_subject(row, config)} {_amount(row)} {way} ({level} {_span(row)}; "
            f"p = {number(row['p_corrected'])})."
        )
    said = f"No difference is shown: {_span(row)} is compatible with the data ({level})."
    if config.test == "permutation" and (least := _least_p(row)) >= config.alpha:
        return f"{said} So few animals cannot give a p-value below {number(least)} by permutation."
    if isfinite(row["detectable"]):
        size = _size(row, row["detectable"])
        said += f" A difference of {size} would be found in 4 of 5 such studies."
    return said


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.0e}"


def _each(row: Mapping[str, Any]) -> str:
    return "with both times" if row["pairs"] else "in each group"


def _subject(row: Mapping[str, Any], config: StudyConfig) -> str:
    if row["kind"] == "change":
        return f"{row['b']} at {row['time']} is"
    if row["kind"] == "change between groups":
        since = config.time_points[0] or "the first time"
        return f"The change since {since} in {row['b']} is, beside that in {row['a']},"
    return f"{row['b']} is"


def _amount(row: Mapping[str, Any]) -> str:
    return _size(row, abs(row["difference"]))


def _size(row: Mapping[str, Any], value: float) -> str:
    """In percent of the first mean if meaningful, otherwise in the unit of the measure."""
    if isfinite(row["percent"]) and row["mean_a"] > 0:
        return f"{100 * value / row['mean_a']:.1f} %"
    return f"{number(value)} {MEASURES[row['measure']][1]}".strip()


def _span(row: Mapping[str, Any]) -> str:
    if isfinite(row["percent_low"]):
        return f"{row['percent_low']:+.1f} to {row['percent_high']:+.1f} %"
    unit = MEASURES[row["measure"]][1]
    return f"{number(row['low'])} to {number(row['high'])} {unit}".strip()


def _least_p(row: Mapping[str, Any]) -> float:
    """Smallest two-sided p-value that relabelling this number of animals can give."""
    n_a, n_b = int(row["n_a"]), int(row["n_b"])
    return 2 / (2**n_a if row["pairs"] else comb(n_a + n_b, n_a))
