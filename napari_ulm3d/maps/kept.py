"""The maps of a finished run: stored, or recomputed from its tracks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.maps.accumulator import accumulate
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["SavedRun", "density_maps", "kept_maps"]


class SavedRun(Protocol):
    """The part of a results folder on which its maps depend."""

    @property
    def path(self) -> Path: ...
    @property
    def grid(self) -> Grid: ...
    @property
    def config(self) -> PipelineConfig: ...
    @property
    def complete(self) -> bool: ...
    def tracks(self) -> Tracks: ...
    def map_names(self) -> list[str]: ...
    def map(self, name: str) -> VesselMap: ...


def kept_maps(run: SavedRun, names: Collection[str] | None = None) -> dict[str, VesselMap]:
    """The maps of a run by name.

    A results folder may contain only tracks, to save space. The maps are then recomputed from them,
    as in the run.

    Parameters
    ----------
    names
        Names of the maps, in this order; maps that the run lacks are left out. None: all.
    """
    there = run.map_names()
    made: dict[str, VesselMap] = {}
    if "density" not in there and run.complete:
        tracks = run.tracks()
        made = accumulate(tracks, run.grid, run.config.maps) if len(tracks) else {}
    wanted = [*there, *made] if names is None else names
    out = {}
    for name in dict.fromkeys(wanted):
        if name in there:
            out[name] = run.map(name)
        elif name in made:
            out[name] = made[name]
    return out


def density_maps(run: SavedRun, names: Collection[str]) -> dict[str, VesselMap]:
    """The density map of a run and others by name, for callers that require the density.

    Raises
    ------
    ResultsError
        The run has no density map: it did not finish, or found no tracks.
    """
    maps = kept_maps(run, ["density", *names])
    if "density" in maps:
        return maps
    if not run.complete:
        raise ResultsError(f"{run.path}: the run did not finish. Finish it with --resume first.")
    raise ResultsError(f"{run.path}: the run found no tracks. Choose the results of another run.")
