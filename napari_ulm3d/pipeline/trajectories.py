"""Adding the blocks' trajectory counts up to one map, with its saturation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.volumes import VesselMap

__all__ = ["TrajectorySum"]


class TrajectorySum:
    """The counts of all blocks so far; memory grows with the voxels reached."""

    def __init__(self) -> None:
        self._map: VesselMap | None = None
        self._reached: list[tuple[float, int]] = [(0.0, 0)]

    def add(self, result: BlockResult, end_s: float) -> None:
        """Add a block that ends at a time; of other localizers than `trajectory` nothing comes."""
        new = result.trajectory
        if new is None:
            return
        old = self._map
        if old is not None:
            index = np.concatenate([old.index, new.index])
            values = np.concatenate([old.values, new.values]).astype(np.float64)
            index, of = np.unique(index, return_inverse=True)
            sums = np.bincount(of, values, minlength=index.size).astype(np.float32)
            new = VesselMap(new.name, new.grid, index, sums, new.unit)
        self._map = new
        self._reached.append((end_s, new.index.size))

    def maps(self) -> dict[str, VesselMap]:
        """``trajectory``, if any block had counts."""
        return {} if self._map is None else {self._map.name: self._map}

    def saturation(self, duration_s: float, n_points: int = 100) -> pd.DataFrame | None:
        """The table of `maps.saturation_curve`, in steps of blocks; None without counts."""
        if self._map is None:
            return None
        time_s = np.linspace(0.0, duration_s, n_points)
        ends: NDArray[np.float64] = np.array([end for end, _ in self._reached])
        # The last block's end and the duration are one time, up to rounding.
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
