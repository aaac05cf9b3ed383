"""One scan: run it if necessary, measure it, and store the numbers."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_ulm3d._version import __version__
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import run
from napari_ulm3d.report.criteria import criteria_of, grade_of
from napari_ulm3d.studies.config import ScanConfig, StudyConfig
from napari_ulm3d.studies.measures import scan_measures
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.vasculature import vessels
from napari_ulm3d.vasculature.source import open_source
from napari_ulm3d.volumes import VesselMap

__all__ = ["Scanned", "kept_scan", "scanned"]


@dataclass(frozen=True)
class Scanned:
    """A scan with its numbers.

    Attributes
    ----------
    results
        Its results folder.
    rows
        Result of `scan_measures`.
    facts
        n_tracks, duration_s, saturation, grade, complete, planar, and the settings of the run
        and of the vessels that differ from the defaults.
    """

    results: str
    rows: list[dict[str, float | str]]
    facts: dict[str, Any]


def kept_scan(scan: ScanConfig, config: StudyConfig, out: Path) -> Scanned | None:
    """The stored measurement of a scan, if the scan and its settings are unchanged."""
    try:
        kept = json.loads(_kept_path(scan, out).read_text(encoding="utf-8"))
        if kept.pop("key") == _key(scan, config, out):
            return Scanned(**kept)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing, from another version, or truncated: measure again
    return None


def scanned(scan: ScanConfig, config: StudyConfig, out: Path, memory: str | None = None) -> Scanned:
    """Run the scan if it names files, measure it, and store the numbers in `out`.

    An interrupted run is resumed.

    Parameters
    ----------
    scan, config
        The scan and its study.
    out
        Folder of the study.
    memory
        Memory limit of a run.
    """
    place = _results_path(scan, out)
    if scan.files:
        settings = PipelineConfig.from_toml(scan.settings) if scan.settings else PipelineConfig()
        acquisition = open_acquisition([Path(f) for f in scan.files], settings.load)
        place.parent.mkdir(parents=True, exist_ok=True)
        run(acquisition, settings, place, resume=True, execution=Execution(memory=memory))
    results = ResultsFolder.open(place)
    own = results.config
    settings_of = config.vessels or own.vessels
    labels = None if scan.regions is None else _labels(scan.regions)
    grid = results.grid
    graph = vessels(results, config=settings_of)
    rows = scan_measures(
        graph, grid, config.region, labels, perfused_within_um=config.perfused_within_um
    )
    facts = results.facts()
    acquired, result = facts.get("acquisition", {}), facts.get("result", {})
    rate, n_frames = acquired.get("rate_hz"), acquired.get("n_frames")
    found = Scanned(
        str(place),
        rows,
        {
            "n_tracks": results.tracks().n_tracks,
            "duration_s": n_frames / rate if rate and n_frames else None,
            "saturation": result.get("saturation"),
            "grade": grade_of(criteria_of(result, acquired.get("wavelength_um"))),
            "complete": results.complete,
            "planar": min(grid.shape) == 1,
            "vessels": settings_of.to_dict(),
            "settings": {
                name: str(value)
                for name, (value, _) in own.differences(PipelineConfig()).items()
                if not name.startswith("vessels.")
            },
        },
    )
    kept = _kept_path(scan, out)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(kept) as path:
        text = json.dumps({"key": _key(scan, config, out), **asdict(found)}, indent=1)
        path.write_text(text, encoding="utf-8")
    return found


def _labels(path: str) -> VesselMap:
    labels = open_source(path)
    if isinstance(labels, ResultsFolder):
        raise ResultsError(
            f"{path}: is a results folder; regions are a volume of labels, such as .nii.gz."
        )
    return labels


def _results_path(scan: ScanConfig, out: Path) -> Path:
    return Path(scan.results) if scan.results else out / "runs" / _slug(scan)


def _kept_path(scan: ScanConfig, out: Path) -> Path:
    return out / "measures" / f"{_slug(scan)}.json"


def _slug(scan: ScanConfig) -> str:
    """A readable and unique file name."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", scan.name).strip("-") or "scan"
    own = repr((scan.animal, scan.time, scan.results, scan.files))
    return f"{readable}-{hashlib.sha256(own.encode()).hexdigest()[:8]}"


def _key(scan: ScanConfig, config: StudyConfig, out: Path) -> str:
    """Hash of everything on which the numbers depend."""
    place = _results_path(scan, out)
    told = [
        __version__,
        None if config.vessels is None else config.vessels.to_dict(),
        [region.model_dump(mode="json") for region in config.region],
        config.perfused_within_um,
        [_state(Path(f)) for f in (*scan.files, scan.settings, scan.regions) if f],
        [_state(place / f) for f in ("run.toml", "tracks.parquet", "maps/density.ome.tif")],
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _state(path: Path) -> list[Any]:
    if not path.exists():
        return [path.name]
    about = path.stat()
    return [path.name, about.st_size, about.st_mtime_ns]
