"""All maps and curves of tracks at once, which can be stopped between the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.maps.accumulator import MapAccumulator
from napari_ulm3d.maps.resolution_curve import Resolution
from napari_ulm3d.maps.resolved import resolved
from napari_ulm3d.maps.saturation import saturation_curve
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["MapsOfTracks", "maps_of_tracks", "never"]


def never() -> bool:
    """Do not stop."""
    return False


@dataclass(frozen=True)
class MapsOfTracks:
    """The maps of some tracks.

    Attributes
    ----------
    maps
        By name, with the local resolution if it is set and there are enough tracks.
    saturation
        Percentage of voxels reached with time, as in `saturation.csv`.
    resolution
        Fourier shell correlation; None if it is off.
    """

    maps: dict[str, VesselMap]
    saturation: pd.DataFrame
    resolution: Resolution | None


def maps_of_tracks(
    tracks: Tracks,
    grid: Grid,
    config: MapConfig,
    duration_s: float,
    stop: Callable[[], bool] = never,
) -> MapsOfTracks:
    """Accumulate tracks and measure their maps.

    Parameters
    ----------
    grid
        Grid of the acquisition.
    duration_s
        Duration of the acquisition.
    stop
        Asked between the steps.

    Raises
    ------
    Cancelled
        `stop` said so.
    """

    def go_on() -> None:
        if stop():
            raise Cancelled("Making the maps was cancelled.")

    go_on()
    accumulator = MapAccumulator(grid, config)
    accumulator.add(tracks)
    go_on()
    curve, places = resolved(accumulator, go_on)
    go_on()
    saturation = saturation_curve(accumulator, duration_s=duration_s)
    made = MapsOfTracks({**accumulator.maps(), **places}, saturation, curve)
    go_on()
    return made
