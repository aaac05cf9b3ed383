"""Apply edits of tracks in a results folder, and update or restore its maps and curves."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from napari_ulm3d.edits import EDITS_NAME, Edit, apply_edits, read_edits, write_edits
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import write
from napari_ulm3d.maps import MapAccumulator, forecast_saturation, saturation_curve
from napari_ulm3d.maps.resolved import LOCAL_RESOLUTION, resolved
from napari_ulm3d.tables import Tracks

__all__ = ["curate"]

#: Folder with the original files of the run that the edits changed.
UNEDITED = "unedited"
_MAPS = "maps"
_CURVES = ("saturation.csv", "saturation_forecast.csv", "fsc.csv")


def curate(folder: str | PathLike[str], edits: Sequence[Edit]) -> Tracks:
    """Set the edits of a run, and recompute its maps, curves and numbers from the edited tracks.

    The linked tracks and the original maps are kept; without edits they are restored exactly.

    Parameters
    ----------
    folder
        Results folder of a finished run.
    edits
        All edits in order, including the existing ones to keep (`read_edits`).

    Returns
    -------
    The edited tracks.

    Raises
    ------
    ConfigError
        An edit cannot be made; nothing is changed.
    ResultsError
        The folder contains no finished run.
    """
    results = ResultsFolder.open(folder)
    if not results.complete:
        raise ResultsError(f"{results.path}: the run is not finished, so its tracks may change.")
    tracks = apply_edits(results.linked_tracks(), edits)
    if not edits:
        _take_back(results.path)
        return tracks
    config = results.config.maps
    accumulator = MapAccumulator(results.grid, config)
    accumulator.add(tracks)
    acquisition = results.facts()["acquisition"]
    duration_s = int(acquisition["n_frames"]) / float(acquisition["rate_hz"])
    saturation = saturation_curve(accumulator, duration_s=duration_s)
    forecast = forecast_saturation(saturation)
    fsc, places = resolved(accumulator)
    numbers: dict[str, Any] = {
        "n_tracks": tracks.n_tracks,
        "n_track_points": len(tracks),
        "saturation": float(saturation["share_of_grid"].iloc[-1]),
        "forecast": dict(forecast.rows()),
    }
    _keep(results.path)
    (results.path / _MAPS).mkdir(exist_ok=True)  # a folder may hold tracks alone
    for name, vessel_map in (accumulator.maps() | places).items():
        write(vessel_map, results.map_path(name))
    if not places:  # too few tracks remain
        results.map_path(LOCAL_RESOLUTION).unlink(missing_ok=True)
    write(saturation, results.path / "saturation.csv")
    write(forecast.curve, results.path / "saturation_forecast.csv")
    if fsc is not None:
        write(fsc.to_table(), results.path / "fsc.csv")
        # Record None, so that the original value is not shown.
        known = not math.isnan(fsc.resolution_um)
        numbers["resolution_um"] = fsc.resolution_um if known else None
        numbers["axes_um"] = fsc.known_axes_um()
    write_edits(results.path, edits, numbers)
    return tracks


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
