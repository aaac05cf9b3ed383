"""Sum the trajectory counts of blocks to one map, with its saturation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.volumes import VesselMap

__all__ = ["TrajectorySum"]


class TrajectorySum:
    """The sum of the counts so far.

    Memory grows with the number of voxels reached, not of blocks: 12 bytes per voxel, and
    17 more while a block is added.
    """

    def __init__(self) -> None:
        self._map: VesselMap | None = None
        self._reached: list[tuple[float, int]] = [(0.0, 0)]

    def add(self, result: BlockResult, end_s: float) -> None:
        """Add a block that ends at `end_s`; only the localizer `trajectory` provides counts."""
        new = result.trajectory
        if new is None:
            return
        old = self._map
        if old is not None:
            new = _sum(old, new)
        self._map = new
        self._reached.append((end_s, new.index.size))

    def maps(self) -> dict[str, VesselMap]:
        """``trajectory``, if any block had counts."""
        return {} if self._map is None else {self._map.name: self._map}

    def saturation(self, duration_s: float, n_points: int = 100) -> pd.DataFrame | None:
        """Saturation as in `maps.saturation_curve`, with one step per block; None without counts."""
        if self._map is None:
            return None
        time_s = np.linspace(0.0, duration_s, n_points)
        ends: NDArray[np.float64] = np.array([end for end, _ in self._reached])
        # The end of the last block equals the duration up to rounding.
        at = np.searchsorted(ends, time_s + 1e-9 * duration_s, side="right") - 1
        reached = np.array([count for _, count in self._reached], np.int64)[at]
        return pd.DataFrame(
            {
                "time_s": time_s,
                "voxels_reached": reached,
                "share_of_grid": reached / self._map.grid.size,
                "share_of_final": reached / max(self._map.index.size, 1),
            }
        )


def _sum(old: VesselMap, new: VesselMap) -> VesselMap:
    """Sum of two maps of integers, without sorting the large one again."""
    at = np.searchsorted(old.index, new.index)
    known = at < old.index.size
    known[known] = old.index[at[known]] == new.index[known]
    values = old.values.copy()
    values[at[known]] += new.values[known]
    at, added = at[~known], ~known
    return VesselMap(
        old.name,
        old.grid,
        np.insert(old.index, at, new.index[added]),
        np.insert(values, at, new.values[added]),
        old.unit,
    )
