"""The resolution of accumulated tracks, as one number and from place to place."""

from __future__ import annotations

from napari_ulm3d.maps.accumulator import MapAccumulator
from napari_ulm3d.maps.local_resolution import local_resolution
from napari_ulm3d.maps.resolution import resolution
from napari_ulm3d.maps.resolution_curve import FEWEST_TRACKS, Resolution
from napari_ulm3d.volumes import VesselMap

__all__ = ["LOCAL_RESOLUTION", "resolved"]

LOCAL_RESOLUTION = "resolution_local"


def resolved(accumulator: MapAccumulator) -> tuple[Resolution | None, dict[str, VesselMap]]:
    """What the settings ask for: the curve, and a map unless there are too few tracks for one.

    Ask before the maps are made, so that the half sets are never held beside them.
    """
    config, n_tracks = accumulator.config, accumulator.n_tracks
    if not config.fsc:
        return None, {}
    halves = accumulator.halves()
    places = {}
    if config.local_resolution and n_tracks >= FEWEST_TRACKS:
        places[LOCAL_RESOLUTION] = local_resolution(*halves)
    return resolution(*halves, n_tracks=n_tracks), places
