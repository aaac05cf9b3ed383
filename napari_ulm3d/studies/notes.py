"""Caveats against comparing the scans of a study, independent of the statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from napari_ulm3d.studies.animals.scan import Scanned
from napari_ulm3d.studies.config import ScanConfig, StudyConfig
from napari_ulm3d.studies.statistics.effects import FEWEST, independent

__all__ = ["notes_of"]

_LONGER = 1.1
_MORE_TRACKS = 1.3
_SUSPECT_P = 0.1


def notes_of(pairs: Iterable[tuple[ScanConfig, Scanned]], config: StudyConfig) -> tuple[str, ...]:
    """Notes on scans with different durations or settings, on tracks, grades and small groups.

    Parameters
    ----------
    pairs
        The scans of the study with their measurements.
    config
        Plan of the study.
    """
    scans = list(pairs)
    return (*_sizes(scans, config), *_bubbles(scans, config), *_unlike(scans), *_poor(scans))


def _sizes(scans: list[tuple[ScanConfig, Scanned]], config: StudyConfig) -> Iterator[str]:
    animals: dict[str, set[str]] = {group: set() for group in config.groups}
    for scan, _ in scans:
        animals[scan.group].add(scan.animal)
    for group, members in animals.items():
        if len(members) < FEWEST:
            count = "1 animal" if len(members) == 1 else f"{len(members)} animals"
            yield (
                f"Group {group} has {count}, which is too few. At least {FEWEST} are "
                "needed, and more to detect any but large differences."
            )
    repeated = [(scan.animal, scan.time) for scan, _ in scans]
    twice = {name for name, time in repeated if repeated.count((name, time)) > 1}
    if twice:
        yield (
            f"Scans of the same animal at the same time were averaged ({', '.join(sorted(twice))})."
        )


def _bubbles(scans: list[tuple[ScanConfig, Scanned]], config: StudyConfig) -> Iterator[str]:
    """More bubbles reveal more and thinner vessels, whatever the treatment."""
    durations = [s.facts["duration_s"] for _, s in scans if s.facts["duration_s"]]
    if durations and max(durations) > _LONGER * min(durations):
        yield (
            f"The scans last from {min(durations):.3g} to {max(durations):.3g} s. Longer scans find "
            "more and thinner vessels; compare equal times, or equal numbers of tracks."
        )
    counts = {
        group: np.array([float(s.facts["n_tracks"]) for scan, s in scans if scan.group == group])
        for group in config.groups
    }
    names = [group for group, values in counts.items() if len(values)]
    for other in names[1:]:
        a, b = counts[names[0]], counts[other]
        low, high = sorted((a.mean(), b.mean()))
        if high > _MORE_TRACKS * low and independent(a, b).p < _SUSPECT_P:
            yield (
                f"{names[0]} has {a.mean():,.0f} tracks per scan and {other} {b.mean():,.0f}: density, "
                "volume fraction and diameter depend on the number of tracks, and may differ for "
                "that reason alone."
            )


def _unlike(scans: list[tuple[ScanConfig, Scanned]]) -> Iterator[str]:
    for key, what in (("settings", "were run"), ("vessels", "were measured")):
        seen = [scan.facts[key] for _, scan in scans]
        names = sorted({n for s in seen for n in s if any(t.get(n) != s[n] for t in seen)})
        if names:
            shown = ", ".join(names[:6]) + (" and others" if len(names) > 6 else "")
            yield (
                f"The scans {what} with different settings ({shown}). "
                "Use the same for all, or they may differ for that reason alone."
            )


def _poor(scans: list[tuple[ScanConfig, Scanned]]) -> Iterator[str]:
    poor = [scan.name for scan, s in scans if s.facts["grade"] == "poor"]
    if poor:
        yield f"Poor quality by the criteria of the report: {'; '.join(poor)}."
    cut = [scan.name for scan, s in scans if not s.facts["complete"]]
    if cut:
        yield f"The run did not finish: {'; '.join(cut)}."
