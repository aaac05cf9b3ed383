"""Results from elsewhere: a results folder, a saved table, the ground truth."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.config import MapConfig, PipelineConfig
from napari_ulm3d.edits import read_edits
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.evaluate import read_truth, truth_localizations, truth_tracks
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import read_table
from napari_ulm3d.maps import MapsOfTracks, Resolution, kept_maps, maps_of_tracks
from napari_ulm3d.pipeline import BlockFailed
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.tables import Localizations, Tracks

__all__ = [
    "mapped",
    "result_of_folder",
    "result_of_rows",
    "result_of_table",
    "result_of_truth",
    "with_maps",
]

TRUTH = "ground truth"

_TABLE_VOXEL_UM = 100.0


def mapped(result: Result, maps: MapConfig | None = None) -> Result:
    """The result with maps of its tracks, made with its own settings or others."""
    if maps is not None:
        config = result.config.model_copy(update={"maps": maps})
        result = replace(result, config=config)
    made = maps_of_tracks(result.tracks, result.grid, result.config.maps, result.duration_s)
    return with_maps(result, made)


def with_maps(result: Result, made: MapsOfTracks) -> Result:
    """The result with these maps of its tracks; its other maps are kept."""
    return replace(
        result,
        maps={**result.maps, **made.maps},
        saturation=made.saturation,
        resolution=made.resolution,
    )


def result_of_folder(folder: str | PathLike[str]) -> Result:
    """Read a whole results folder as a result.

    Raises
    ------
    ResultsError
        It is not a results folder, or a part of it cannot be read.
    """
    path = Path(folder).absolute()
    results = ResultsFolder.open(path)
    facts = results.facts()
    acquisition, outcome = facts.get("acquisition", {}), facts.get("result", {})
    try:
        rate_hz, n_frames = float(acquisition["rate_hz"]), int(acquisition["n_frames"])
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(
            f"{path / 'run.toml'}: does not give the frame rate and number of frames; run "
            "the acquisition again into a new folder."
        ) from error
    finished = results.complete
    wave = acquisition.get("wavelength_um")
    result = Result(
        grid=results.grid,
        rate_hz=rate_hz,
        duration_s=n_frames / rate_hz,
        config=results.config,
        # A stopped run has its tables only in its blocks so far.
        localizations=results.localizations() if finished else results.localizations_so_far(),
        tracks=results.tracks() if finished else Tracks.empty(),
        maps=kept_maps(results),
        saturation=_saturation(path),
        resolution=_resolution(path, outcome),
        chance=_csv(path / "chance_tracks.csv", ("length_frames", "share_by_chance")),
        motion=_csv(path / "motion.csv", ("time_s", "z_um", "broken")),
        folder=path,
        complete=finished,
        failed=tuple(_failed(entry) for entry in outcome.get("failed", [])),
        name=str(acquisition.get("name", path.name)),
        wavelength_um=None if wave is None else float(wave),
        files=tuple(str(name) for name in acquisition.get("files", [])),
        created=str(facts.get("program", {}).get("created", "")),
        edits=read_edits(path),
        linked=results.linked_tracks() if finished and read_edits(path) else None,
    )
    return result.prepared(facts)


def result_of_table(path: str | PathLike[str], like: Result | Acquisition | None) -> Result:
    """Read a saved table of tracks or localizations as a result, with maps of its tracks.

    Parameters
    ----------
    like
        Result whose grid, rate and duration to use; None: the smallest grid around the positions.

    Raises
    ------
    ResultsError
        The file is not a table of tracks or localizations.
    """
    path = Path(path)
    try:
        tracks, found = read_table(path, Tracks), Localizations.empty()
        table: pd.DataFrame = tracks.table
    except ResultsError:
        tracks, found = Tracks.empty(), read_table(path, Localizations)
        table = found.table
    if not len(table):
        raise ResultsError(f"{path}: the table is empty; choose one with rows.")
    last = table.loc[table["frame"].idxmax()]
    rate_hz = float(last["frame"] / last["time_s"]) if last["time_s"] > 0 else 1.0
    config = like.config if isinstance(like, Result) else PipelineConfig()
    return result_of_rows(tracks, found, like, path.name, rate_hz, config)


def result_of_rows(
    tracks: Tracks,
    found: Localizations,
    like: Result | Acquisition | None,
    name: str,
    rate_hz: float,
    config: PipelineConfig,
) -> Result:
    """Tracks or localizations from elsewhere as a result, with maps of the tracks.

    Parameters
    ----------
    like
        Result whose grid, rate and duration to use; None: the smallest grid around the positions.
    name
        Name of the table or the layer.
    rate_hz
        Frame rate, if `like` does not give it.
    config
        Settings; only those of the maps are used.

    Raises
    ------
    ResultsError
        There are no rows.
    """
    if not len(tracks) and not len(found):
        raise ResultsError(f"{name}: holds no tracks; choose another, or link with other settings.")
    if like is not None:
        grid, rate_hz, duration_s = like.grid, like.rate_hz, like.duration_s
    else:
        rows = tracks if len(tracks) else found
        grid = _grid_about(rows.positions_um)
        duration_s = (float(rows.frames.max()) + 1) / rate_hz
    made = Result(
        grid=grid,
        rate_hz=rate_hz,
        duration_s=duration_s,
        config=config,
        localizations=found,
        tracks=tracks,
        scope=name,
        name=Path(name).stem,
        wavelength_um=None if like is None else like.wavelength_um,
    )
    return mapped(made)


def result_of_truth(path: str | PathLike[str], like: Result | Acquisition) -> Result:
    """Read the ground truth of an acquisition as a result, with maps of the true trajectories.

    Raises
    ------
    InputError
        The file is not a ground truth.
    """
    truth = read_truth(path)
    config = like.config if isinstance(like, Result) else PipelineConfig()
    made = Result(
        grid=like.grid,
        rate_hz=like.rate_hz,
        duration_s=like.duration_s,
        config=config,
        localizations=truth_localizations(truth, like.grid, like.rate_hz),
        tracks=truth_tracks(truth, like.rate_hz),
        scope=TRUTH,
        name=like.name,
        wavelength_um=like.wavelength_um,
    )
    return mapped(made)


def _saturation(folder: Path) -> Any:
    return _csv(folder / "saturation.csv", ("time_s", "share_of_grid"))


def _resolution(folder: Path, outcome: dict[str, Any]) -> Resolution | None:
    table = _csv(
        folder / "fsc.csv", ("frequency_per_um", "correlation", "half_bit", "n_independent")
    )
    if table is None:
        return None
    frequency = table["frequency_per_um"].to_numpy(float)
    known = float(outcome.get("resolution_um", np.nan))
    return Resolution(
        frequency_per_um=frequency,
        correlation=table["correlation"].to_numpy(float),
        half_bit=table["half_bit"].to_numpy(float),
        n_independent=table["n_independent"].to_numpy(float),
        resolution_um=known,
        resolution_fixed_um=float("nan"),
        limited_by_voxel=bool(frequency.size and known * frequency[-1] < 1.01),
        n_tracks=outcome.get("n_tracks"),
    ).trusted()


def _csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error}); delete the file.") from error
    if not set(columns) <= set(table.columns):
        raise ResultsError(
            f"{path}: the columns {', '.join(columns)} are missing; delete the file."
        )
    return table


def _failed(entry: dict[str, Any]) -> BlockFailed:
    names = BlockFailed.__dataclass_fields__
    try:
        return BlockFailed(**{name: entry[name] for name in names})
    except KeyError as error:
        raise ResultsError(f"run.toml: a failed block has no {error}.") from error


def _grid_about(positions_um: Any) -> Grid:
    low, high = positions_um.min(axis=0), positions_um.max(axis=0)
    n = np.ceil((high - low) / _TABLE_VOXEL_UM).astype(int) + 1
    step = _TABLE_VOXEL_UM
    return Grid((int(n[0]), int(n[1]), int(n[2])), (step, step, step), tuple(map(float, low)))  # type: ignore[arg-type]
