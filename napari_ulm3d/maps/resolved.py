"""Global and local resolution of accumulated tracks."""

from __future__ import annotations

from napari_ulm3d.maps.accumulator import MapAccumulator
from napari_ulm3d.maps.local_resolution import local_resolution
from napari_ulm3d.maps.resolution import resolution
from napari_ulm3d.maps.resolution_curve import FEWEST_TRACKS, Resolution
from napari_ulm3d.volumes import VesselMap

__all__ = ["LOCAL_RESOLUTION", "resolved"]

LOCAL_RESOLUTION = "resolution_local"


def resolved(accumulator: MapAccumulator) -> tuple[Resolution | None, dict[str, VesselMap]]:
    """The correlation curve and the map of local resolution, if set and with enough tracks.

    Call this before computing the maps, so that they are not in memory along with the half sets.
    """
    config, n_tracks = accumulator.config, accumulator.n_tracks
    if not config.fsc:
        return None, {}
    halves = accumulator.halves()
    places = {}
    if config.local_resolution and n_tracks >= FEWEST_TRACKS:
        places[LOCAL_RESOLUTION] = local_resolution(*halves)
    return resolution(*halves, n_tracks=n_tracks), places
