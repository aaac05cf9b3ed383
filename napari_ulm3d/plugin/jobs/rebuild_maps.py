"""Rebuilding maps from the tracks of a result as work for a job; unchanged steps are reused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from napari_ulm3d.config import MapConfig
from napari_ulm3d.maps import (
    MapAccumulator,
    Resolution,
    local_resolution,
    resolution,
    saturation_curve,
    smooth_maps,
)
from napari_ulm3d.maps.resolution_curve import FEWEST_TRACKS
from napari_ulm3d.maps.resolved import LOCAL_RESOLUTION
from napari_ulm3d.plugin.jobs.job import Stop, Work
from napari_ulm3d.plugin.layers.convert import map_layer, tracks_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.layers.track_colors import Colouring
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.track_filters import TrackFilter, filter_tracks
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["ERRORS", "OF_TRACKS", "Accumulated", "Rebuilt", "Wish", "rebuild_work"]

#: Maps made from tracks, which follow the track filters.
OF_TRACKS = ("density", "speed", "velocity_z", "direction")
#: Maps of the uncertainty of those.
ERRORS = tuple(f"{name}_{what}" for name in ("density", "speed") for what in ("se", "low", "high"))


@dataclass(frozen=True)
class Wish:
    """The refined map.

    Attributes
    ----------
    name
        Name of the map.
    chosen
        Which tracks to include.
    config
        Resolution and smoothing.
    colouring
        Colours for drawing the tracks; None if they are drawn already.
    """

    result: Result
    name: str
    chosen: TrackFilter
    config: MapConfig
    colouring: Colouring | None = None

    @property
    def key(self) -> Any:
        """The settings that the accumulated maps depend on."""
        config = self.config
        return id(self.result), self.chosen, config.replace(smoothing_um=0.0)


@dataclass(frozen=True)
class Accumulated:
    """Maps before smoothing, and the curves, which do not depend on smoothing."""

    key: Any
    tracks: Tracks
    maps: dict[str, VesselMap]
    saturation: Any
    resolution: Resolution | None


@dataclass(frozen=True)
class Rebuilt:
    """The displayed map as a layer and, if they changed, the tracks."""

    wish: Wish
    layer: Any
    tracks_layer: Any
    grid_text: str
    n_tracks: int


def rebuild_work(wish: Wish, known: Accumulated | None) -> Work:
    """Filter, accumulate and smooth as far as necessary; the displayed map comes first.

    Yields a `Rebuilt`; returns (`Accumulated`, the `Result` with these tracks and maps).
    """

    def work(stop: Stop) -> Generator[Rebuilt, None, tuple[Accumulated, Result]]:
        result, config = wish.result, wish.config
        ours = known if known is not None and known.key == wish.key else None
        accumulator = None
        if ours is None:
            tracks = filter_tracks(result.tracks, wish.chosen)
            accumulator = MapAccumulator(result.grid, config.replace(smoothing_um=0.0))
            accumulator.add(tracks)
            maps = accumulator.maps()
            if wish.name == LOCAL_RESOLUTION and config.fsc:
                maps[LOCAL_RESOLUTION] = local_resolution(*accumulator.halves())
        else:
            tracks, maps = ours.tracks, ours.maps
        first = {name: maps[name] for name in dict.fromkeys(("density", wish.name)) if name in maps}
        first = smooth_maps(first, config.smoothing_um)
        seen = first.get(wish.name) or result.maps.get(wish.name) or first["density"]
        yield _rebuilt(wish, seen, tracks)
        if accumulator is not None:
            curve = saturation_curve(accumulator, duration_s=result.duration_s)
            fsc = None
            if config.fsc and not stop():
                halves = accumulator.halves()
                fsc = resolution(*halves, n_tracks=accumulator.n_tracks)
                enough = accumulator.n_tracks >= FEWEST_TRACKS
                if (
                    LOCAL_RESOLUTION not in maps
                    and config.local_resolution
                    and enough
                    and not stop()
                ):
                    maps[LOCAL_RESOLUTION] = local_resolution(*halves)
            ours = Accumulated(wish.key, tracks, maps, curve, fsc)
        assert ours is not None
        rest = smooth_maps(maps, config.smoothing_um)
        if config.smoothing_um > 0:  # standard errors refer to unsmoothed maps
            rest = {name: each for name, each in rest.items() if name not in ERRORS}
        # The uncertainties of the earlier maps do not apply to these.
        kept = {n: each for n, each in result.maps.items() if n not in (*ERRORS, LOCAL_RESOLUTION)}
        shown = {**kept, **rest, **first}
        made = replace(
            result,
            tracks=tracks,
            maps=shown,
            config=result.config.model_copy(update={"maps": config}),
            saturation=ours.saturation,
            resolution=ours.resolution,
        )
        return ours, made

    return work


def _rebuilt(wish: Wish, seen: VesselMap, tracks: Tracks) -> Rebuilt:
    voxel = " x ".join(f"{s:.3g}" for s in seen.grid.spacing_um)
    z, y, x = seen.grid.shape
    drawn = None
    if wish.colouring is not None and len(tracks):
        drawn = make_layer(
            tracks_layer(tracks, rate_hz=wish.result.rate_hz, colouring=wish.colouring), "tracks"
        )
    layer = make_layer(map_layer(seen), "map") if len(seen.index) else None
    return Rebuilt(wish, layer, drawn, f"{z} x {y} x {x} voxels of {voxel} µm", tracks.n_tracks)
