"""Global and local resolution of accumulated tracks."""

from __future__ import annotations

from collections.abc import Callable

from napari_ulm3d.maps.accumulator import MapAccumulator
from napari_ulm3d.maps.local_resolution import local_resolution
from napari_ulm3d.maps.resolution import resolution
from napari_ulm3d.maps.resolution_curve import FEWEST_TRACKS, Resolution
from napari_ulm3d.volumes import VesselMap

__all__ = ["LOCAL_RESOLUTION", "resolved"]

LOCAL_RESOLUTION = "resolution_local"


def resolved(
    accumulator: MapAccumulator, go_on: Callable[[], None] = lambda: None
) -> tuple[Resolution | None, dict[str, VesselMap]]:
    """The correlation curve and the map of local resolution, if set and with enough tracks.

    Call this before computing the maps, so that they are not in memory along with the half sets.
    `go_on` is called along the way and raises to end the work.
    """
    config, n_tracks = accumulator.config, accumulator.n_tracks
    if not config.fsc:
        return None, {}
    halves = accumulator.halves()
    go_on()
    places = {}
    if config.local_resolution and n_tracks >= FEWEST_TRACKS:
        places[LOCAL_RESOLUTION] = local_resolution(*halves, go_on=go_on)
        go_on()
    return resolution(*halves, n_tracks=n_tracks), places
