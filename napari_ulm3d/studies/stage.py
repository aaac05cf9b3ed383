"""Perform a study: from its plan to its tables and page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import ResultsError, UlmError
from napari_ulm3d.studies.animals.scan import Scanned, kept_scan
from napari_ulm3d.studies.animals.workers import scanned_all
from napari_ulm3d.studies.config import MEASURES, ScanConfig, StudyConfig
from napari_ulm3d.studies.notes import notes_of
from napari_ulm3d.studies.page.page import study_page
from napari_ulm3d.studies.statistics.comparisons import compare
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["Study", "study"]

_FIRST = ("animal", "group", "time", "region", "n_tracks", "n_vessels", "measured_share")


@dataclass(frozen=True)
class Study:
    """The results of a study.

    Attributes
    ----------
    config
        Its plan.
    measures
        One row per scan and region.
    comparisons
        One row per comparison; see `compare`. Empty if there is nothing to compare.
    notes
        Caveats: scans that differ in duration, settings or number of tracks.
    failed
        Scans that could not be measured, with the reason.
    folder
        Folder of ``study.html``, ``measures.csv`` and ``comparisons.csv``.
    """

    config: StudyConfig
    measures: pd.DataFrame
    comparisons: pd.DataFrame
    notes: tuple[str, ...]
    failed: dict[str, str]
    folder: Path


def study(
    plan: StudyConfig | str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    execution: Execution | None = None,
    progress: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Study:
    """Measure the animals of a study and compare its groups and time points.

    Measurements of an earlier call in the same folder are reused if neither the scan nor the
    settings have changed; interrupted runs are resumed.

    Parameters
    ----------
    plan
        A `study.toml`, or its contents.
    out
        Folder for tables, page and runs; None: ``NAME-study`` next to the plan.
    execution
        Workers, each processing one scan at a time, and memory; None: one scan after the other.
    progress
        Called with one line per scan.
    stop
        Called between scans; a true result ends the study with `Cancelled`, keeping finished scans.

    Returns
    -------
    Study

    Raises
    ------
    ConfigError
        The plan is invalid.
    ResultsError
        No scan could be measured, or scans of planes and of volumes are mixed.
    """
    if isinstance(plan, StudyConfig):
        config = plan
        folder = Path(out if out is not None else "study")
    else:
        config = StudyConfig.read(plan)
        named = Path(plan)
        folder = Path(out if out is not None else named.with_name(f"{named.stem}-study"))
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found, failed = _scans(config, folder, execution or Execution(), progress, stop)
    if not found:
        reasons = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise ResultsError(f"No scan of the study could be measured. {reasons}")
    pairs = [(scan, found[scan]) for scan in config.scan if scan in found]
    if len({bool(scan.facts["planar"]) for _, scan in pairs}) > 1:
        raise ResultsError(
            "The study mixes planes and volumes, whose measures cannot be compared. "
            "Make a study of each."
        )
    measures = _table(pairs)
    comparisons = compare(measures, config)
    notes = notes_of(pairs, config)
    done = Study(config, measures, comparisons, notes, failed, folder)
    for name, table in (("measures", measures), ("comparisons", comparisons)):
        with atomic_path(folder / f"{name}.csv") as path:
            table.to_csv(path, index=False)
    page = study_page(config, measures, comparisons, notes, failed)
    with atomic_path(folder / "study.html") as path:
        path.write_text(page, encoding="utf-8")
    return done


def _scans(
    config: StudyConfig,
    folder: Path,
    execution: Execution,
    progress: Callable[[str], None] | None,
    stop: Callable[[], bool] | None,
) -> tuple[dict[ScanConfig, Scanned], dict[str, str]]:
    told = progress or (lambda line: None)
    found: dict[ScanConfig, Scanned] = {}
    failed: dict[str, str] = {}
    waiting: list[ScanConfig] = []
    for scan in config.scan:
        kept = kept_scan(scan, config, folder)
        if kept is None:
            waiting.append(scan)
        else:
            found[scan] = kept
            told(f"{scan.name}: as measured before")
    work = scanned_all(waiting, config, folder, execution, stop or (lambda: False))
    for n, (scan, outcome) in enumerate(work, start=1):
        of = f"({n} of {len(waiting)})"
        if isinstance(outcome, UlmError):
            failed[scan.name] = str(outcome)
            told(f"{scan.name}: left out: {outcome} {of}")
        else:
            found[scan] = outcome
            told(f"{scan.name}: measured {of}")
    return found, failed


def _table(pairs: list[tuple[ScanConfig, Scanned]]) -> pd.DataFrame:
    rows = [
        {"animal": scan.animal, "group": scan.group, "time": scan.time}
        | {"n_tracks": done.facts["n_tracks"]}
        | row
        for scan, done in pairs
        for row in done.rows
    ]
    return pd.DataFrame(rows)[[*_FIRST, *MEASURES]]
