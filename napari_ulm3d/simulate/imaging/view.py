"""Gain and noise over depth, and the field of view within the grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.config import ViewConfig

__all__ = ["field_of_view", "in_view", "over_depth_db", "planes"]


def over_depth_db(db_per_mm: float, grid: Grid, depth_um: ArrayLike) -> NDArray[np.float64]:
    """Level (n,) in dB at depths (n,) of something that is 0 dB at half the grid's depth."""
    middle = grid.origin_um[0] + grid.spacing_um[0] * (grid.shape[0] - 1) / 2
    return np.asarray(db_per_mm * (np.asarray(depth_um, np.float64) - middle) / 1000)


def planes(db_per_mm: float, grid: Grid) -> NDArray[np.float32]:
    """Factor of each depth, (z, 1, 1), of a level that grows with depth."""
    depth = grid.origin_um[0] + grid.spacing_um[0] * np.arange(grid.shape[0])
    factor = 10 ** (over_depth_db(db_per_mm, grid, depth) / 20)
    return factor.astype(np.float32)[:, None, None]


def field_of_view(config: ViewConfig, grid: Grid) -> NDArray[np.bool_] | None:
    """Voxels (z, y, x) with data; None: all.

    With a radius, those whose distance to the axis, in half widths of the grid, does not exceed it;
    it changes linearly from the centre of the first voxel to that of the last. An axis of a
    single voxel does not count.
    """
    if config.radius is None:
        return None
    top, bottom = config.radius
    radius = np.linspace(top, bottom, grid.shape[0])
    y, x = ((np.arange(n) - (n - 1) / 2) / (n / 2) for n in grid.shape[1:])
    return np.asarray(np.hypot(y[:, None], x) <= radius[:, None, None])


def in_view(config: ViewConfig, grid: Grid, position_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether positions (n, 3) are inside the grid and nearest to a voxel with data, (n,)."""
    inside = np.asarray(grid.contains(position_um))
    seen = field_of_view(config, grid)
    if seen is not None and inside.any():
        voxel = np.rint(grid.to_index(position_um[inside])).astype(np.int64)
        inside[inside] = seen[*np.clip(voxel, 0, np.array(grid.shape) - 1).T]
    return inside
