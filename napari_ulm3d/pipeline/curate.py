"""Apply edits of tracks in a results folder, and update or restore its maps and curves."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from napari_ulm3d.edits import EDITS_NAME, Edit, apply_edits, read_edits, write_edits
from napari_ulm3d.errors import Cancelled, ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.maps import MapsOfTracks, forecast_saturation, maps_of_tracks, never
from napari_ulm3d.maps.resolved import LOCAL_RESOLUTION
from napari_ulm3d.tables import Tracks

__all__ = ["Curated", "curate", "curated"]

#: Folder with the original files of the run that the edits changed.
UNEDITED = "unedited"
_MAPS = "maps"
_CURVES = ("saturation.csv", "saturation_forecast.csv", "fsc.csv")


@dataclass(frozen=True)
class Curated:
    """The edited tracks of a run, and their maps and curves."""

    tracks: Tracks
    made: MapsOfTracks


def curate(
    folder: str | PathLike[str], edits: Sequence[Edit], stop: Callable[[], bool] = never
) -> Tracks:
    """Set the edits of a run, and recompute its maps, curves and numbers from the edited tracks.

    The linked tracks and the original maps are kept; without edits they are restored exactly.

    Parameters
    ----------
    folder
        Results folder of a finished run.
    edits
        All edits in order, including the existing ones to keep (`read_edits`).
    stop
        Asked between the steps; nothing is changed if it says so.

    Returns
    -------
    The edited tracks.

    Raises
    ------
    ConfigError
        An edit cannot be made; nothing is changed.
    ResultsError
        The folder contains no finished run.
    Cancelled
        `stop` said so.
    """
    if edits:
        return curated(folder, edits, stop).tracks
    results = _finished(folder)
    _take_back(results.path)
    return results.linked_tracks()


def curated(
    folder: str | PathLike[str], edits: Sequence[Edit], stop: Callable[[], bool] = never
) -> Curated:
    """Like `curate`, with the maps and curves of the edited tracks."""
    results = _finished(folder)
    tracks = apply_edits(results.linked_tracks(), edits)
    acquisition = results.facts()["acquisition"]
    duration_s = int(acquisition["n_frames"]) / float(acquisition["rate_hz"])
    made = maps_of_tracks(tracks, results.grid, results.config.maps, duration_s, stop)
    if edits:
        _keep_edits(results, edits, tracks, made, stop)
    else:
        _take_back(results.path)
    return Curated(tracks, made)


def _finished(folder: str | PathLike[str]) -> ResultsFolder:
    results = ResultsFolder.open(folder)
    if not results.complete:
        raise ResultsError(f"{results.path}: the run is not finished, so its tracks may change.")
    return results


def _keep_edits(
    results: ResultsFolder,
    edits: Sequence[Edit],
    tracks: Tracks,
    made: MapsOfTracks,
    stop: Callable[[], bool],
) -> None:
    """Write the new files beside the old ones, then put them all in their places at once."""
    path = results.path
    forecast = forecast_saturation(made.saturation)
    numbers: dict[str, Any] = {
        "n_tracks": tracks.n_tracks,
        "n_track_points": len(tracks),
        "saturation": float(made.saturation["share_of_grid"].iloc[-1]),
        "forecast": dict(forecast.rows()),
    }
    new: list[tuple[Any, Path]] = [
        (vessel_map, results.map_path(name)) for name, vessel_map in made.maps.items()
    ]
    new += [(made.saturation, path / _CURVES[0]), (forecast.curve, path / _CURVES[1])]
    if (fsc := made.resolution) is not None:
        new.append((fsc.to_table(), path / _CURVES[2]))
        # Record None, so that the original value is not shown.
        numbers["resolution_um"] = None if math.isnan(fsc.resolution_um) else fsc.resolution_um
        numbers["axes_um"] = fsc.known_axes_um()
    with tempfile.TemporaryDirectory(prefix=".edited-", dir=path) as beside:
        for value, target in new:
            if stop():
                raise Cancelled("The edit was cancelled.")
            write(value, Path(beside) / target.name)
        _keep(path)
        # First the list: while it is there, the original files are never taken for superfluous.
        write_edits(path, edits, numbers)
        (path / _MAPS).mkdir(exist_ok=True)  # a folder may hold tracks alone
        for _, target in new:
            os.replace(Path(beside) / target.name, target)
    if LOCAL_RESOLUTION not in made.maps:  # too few tracks remain
        results.map_path(LOCAL_RESOLUTION).unlink(missing_ok=True)


def _keep(path: Path) -> None:
    """Keep the original files of the run, once."""
    kept = path / UNEDITED
    if (path / EDITS_NAME).is_file() and kept.is_dir():
        return
    shutil.rmtree(kept, ignore_errors=True)  # left by an interrupted edit
    kept.mkdir()
    for place in (*_maps_in(path), *(path / name for name in _CURVES)):
        if place.is_file():
            shutil.copy2(place, kept / place.name)


def _maps_in(path: Path) -> list[Path]:
    return sorted((path / _MAPS).glob("*.ome.tif"))


def _take_back(path: Path) -> None:
    kept = path / UNEDITED
    if not read_edits(path):
        return
    for place in kept.iterdir():
        target = path / place.name if place.name in _CURVES else path / _MAPS / place.name
        shutil.copy2(place, target)
    for place in _maps_in(path):  # maps that the run did not have
        if not (kept / place.name).is_file():
            place.unlink()
    if (path / _MAPS).is_dir() and not any((path / _MAPS).iterdir()):
        (path / _MAPS).rmdir()
    (path / EDITS_NAME).unlink()
    shutil.rmtree(kept)
