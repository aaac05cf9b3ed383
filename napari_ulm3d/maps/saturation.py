"""Saturation: the fraction of the map reached over the course of the acquisition.

Hingot et al., "Microvascular flow dictates the compromise between spatial resolution
and acquisition time in ultrasound localization microscopy", Sci. Rep. 9:2456 (2019).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.maps.accumulator import MapAccumulator
from napari_ulm3d.tables import Tracks

__all__ = ["saturation", "saturation_curve"]


def saturation(
    tracks: Tracks,
    grid: Grid,
    config: MapConfig,
    n_points: int = 100,
    duration_s: float | None = None,
) -> pd.DataFrame:
    """The saturation curve of tracks; see `saturation_curve`."""
    accumulator = MapAccumulator(grid, config.replace(fsc=False))
    accumulator.add(tracks)
    return saturation_curve(accumulator, n_points, duration_s)


def saturation_curve(
    accumulator: MapAccumulator, n_points: int = 100, duration_s: float | None = None
) -> pd.DataFrame:
    """Compute the saturation curve of an accumulator.

    Parameters
    ----------
    accumulator
        Accumulator with the tracks; it stores the first arrival in each voxel, so this is fast.
    n_points
        Number of rows of the table, evenly spaced in time.
    duration_s
        End of the time axis; None: time of the last track row.

    Returns
    -------
    pd.DataFrame
        ``time_s`` from 0, ``voxels_reached`` until then, ``share_of_grid`` (of all voxels
        of the fine grid), ``share_of_final`` (of all voxels reached in the end; 0
        throughout if there are none).
    """
    if n_points < 2:
        raise ValueError(f"a curve needs at least two points, not {n_points}")
    arrivals = accumulator.arrival_times_s()
    end = accumulator.last_time_s if duration_s is None else duration_s
    time_s = np.linspace(0.0, end, n_points)
    # Arrivals have single precision: compare in single precision, or the last ones are missed.
    reached = np.searchsorted(arrivals, time_s.astype(np.float32), side="right")
    return pd.DataFrame(
        {
            "time_s": time_s,
            "voxels_reached": reached.astype(np.int64),
            "share_of_grid": reached / accumulator.grid.size,
            "share_of_final": reached / max(arrivals.size, 1),
        }
    )
