"""Quality of a run: criteria with their limits, and the resulting grade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_ulm3d.maps import resolution_text

__all__ = ["Criterion", "criteria_of", "grade_of"]


@dataclass(frozen=True)
class Criterion:
    """One criterion of a run's quality.

    Attributes
    ----------
    name, found
        What is judged, and the run's value.
    wanted
        The limits, in words.
    points
        2 good, 1 fair, 0 poor; None: unknown.
    """

    name: str
    found: str
    wanted: str
    points: int | None

    @property
    def word(self) -> str:
        return {None: "not known", 0: "poor", 1: "fair", 2: "good"}[self.points]


def criteria_of(result: dict[str, Any], wavelength_um: float | None) -> list[Criterion]:
    """Compute the criteria from `result` in the `run.toml` of a results folder."""
    return [
        _low("tracks that arise by chance", result.get("chance_share"), 0.05, 0.2),
        _high("saturation of the map", result.get("saturation"), 0.6, 0.2),
        _resolution(result.get("resolution_um"), result.get("n_tracks"), wavelength_um),
        _count("tracks", result.get("n_tracks")),
        Criterion(
            "whole",
            "all blocks" if not result.get("failed") else f"{len(result['failed'])} blocks failed",
            "all blocks",
            2 if result.get("complete") and not result.get("failed") else 0,
        ),
    ]


def grade_of(criteria: list[Criterion]) -> str:
    """Grade a run: good if all known criteria are, poor if two are poor; needs three known ones."""
    known = sorted(c.points for c in criteria if c.points is not None)
    if len(known) < 3:
        return "not graded"
    if known[0] == 2:
        return "good"
    return "poor" if known[1] == 0 else "fair"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _low(name: str, value: float | None, good: float, fair: float) -> Criterion:
    wanted = f"good to {_share(good)}, fair to {_share(fair)}"
    if value is None:
        return Criterion(name, "not measured", wanted, None)
    return Criterion(name, _share(value), wanted, 2 if value <= good else int(value <= fair))


def _high(name: str, value: float | None, good: float, fair: float) -> Criterion:
    wanted = f"good from {_share(good)}, fair from {_share(fair)}"
    if value is None:
        return Criterion(name, "not measured", wanted, None)
    return Criterion(name, _share(value), wanted, 2 if value >= good else int(value >= fair))


def _resolution(
    value: float | None, n_tracks: int | None, wavelength_um: float | None
) -> Criterion:
    wanted = "good to a quarter of a wavelength, fair to a half"
    text = resolution_text(value, n_tracks)
    if value is None or not wavelength_um or not text.endswith("um"):
        return Criterion("resolution (FSC)", text, wanted, None)
    share = value / wavelength_um
    points = 2 if share <= 0.25 else int(share <= 0.5)
    return Criterion("resolution (FSC)", f"{text} ({share:.2f} wavelengths)", wanted, points)


def _count(name: str, value: int | None) -> Criterion:
    wanted = "good from 1,000, fair from 100"
    if value is None:
        return Criterion(name, "not known", wanted, None)
    return Criterion(name, f"{value:,}", wanted, 2 if value >= 1000 else int(value >= 100))
