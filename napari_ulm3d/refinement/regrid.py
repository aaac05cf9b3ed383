"""Resample maps of any spacing to cubic voxels of a size that the networks were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError
from napari_ulm3d.refinement.features import voxel_edge_um
from napari_ulm3d.volumes import VesselMap

__all__ = ["on_cubes", "working_grid"]

_ALIKE = 1e-3
_MOST_COPIES = 50_000_000


def working_grid(grid: Grid, finest_um: float) -> Grid:
    """Cubic voxels over the same extent, no finer than `finest_um`.

    Their edge is the smallest multiple of the grid's smallest spacing that is at least
    `finest_um`. An axis of one voxel is unchanged.
    """
    edge = voxel_edge_um(grid)
    edge *= max(1, math.ceil(finest_um / edge - _ALIKE))
    if all(
        n == 1 or abs(s - edge) <= _ALIKE * edge
        for s, n in zip(grid.spacing_um, grid.shape, strict=True)
    ):
        return grid
    axes = []
    for n, s, o in zip(grid.shape, grid.spacing_um, grid.origin_um, strict=True):
        count = 1 if n == 1 else max(1, math.ceil(n * s / edge - _ALIKE))
        step = s if n == 1 else edge
        axes.append((count, step, o - s / 2 + step / 2))
    (nz, dz, oz), (ny, dy, oy), (nx, dx, ox) = axes
    return Grid((nz, ny, nx), (dz, dy, dx), (oz, oy, ox))


def on_cubes(maps: Mapping[str, VesselMap], grid: Grid) -> dict[str, VesselMap]:
    """Resample the maps to another grid over the same extent.

    A coarser voxel takes the highest density within it, and the mean speeds and direction
    weighted by density. A finer voxel takes the value of the voxel at its centre.

    Raises
    ------
    InputError
        Voxels are so elongated that they would be copied too often.
    """
    density = maps["density"]
    if density.grid == grid:
        return dict(maps)
    source, target = _pairs(density, grid)
    counts = density.values[source].astype(np.float64)
    order = np.argsort(target, kind="stable")
    source, target, counts = source[order], target[order], counts[order]
    index, first = np.unique(target, return_index=True)
    if not index.size:
        return {
            name: VesselMap(m.name, grid, index, np.empty(0, np.float32), m.unit, m.signed)
            for name, m in maps.items()
        }
    peak, total = np.maximum.reduceat(counts, first), np.add.reduceat(counts, first)
    out = {"density": VesselMap(density.name, grid, index, peak, density.unit, density.signed)}
    for name, other in maps.items():
        if name == "density" or other.grid != density.grid:
            continue
        values = _of(other, density)[source].astype(np.float64)
        # The direction is a sum over tracks; the speeds are means.
        weight = np.ones_like(counts) if name == "direction" else counts
        mean = np.add.reduceat(values * weight, first) / total
        mean = mean * peak if name == "direction" else mean
        mean32 = mean.astype(np.float32)
        out[name] = VesselMap(other.name, grid, index, mean32, other.unit, other.signed)
    return out


def _of(other: VesselMap, density: VesselMap) -> NDArray[np.float32]:
    out = np.zeros(density.index.size, np.float32)
    if other.index.size:
        at = np.searchsorted(other.index, density.index).clip(max=other.index.size - 1)
        found = other.index[at] == density.index
        out[found] = other.values[at[found]]
    return out


def _pairs(density: VesselMap, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows of the map and the voxels of `grid` that take their values."""
    old = density.grid
    rows = np.arange(density.index.size)
    places = [np.asarray(p) for p in np.unravel_index(density.index, old.shape)]
    for axis in range(3):
        step, s = grid.spacing_um[axis], old.spacing_um[axis]
        shift = (old.origin_um[axis] - grid.origin_um[axis]) / step
        centre = shift + places[axis] * (s / step)
        half = s / step / 2
        low = np.ceil(centre - half - 1e-9).astype(np.int64)
        high = np.ceil(centre + half - 1e-9).astype(np.int64) - 1
        # A voxel that contains no centre of the new grid goes to the new voxel at its own centre.
        none = high < low
        low[none] = high[none] = np.rint(centre[none] - 1e-9).astype(np.int64)
        low = low.clip(0, grid.shape[axis] - 1)
        high = high.clip(0, grid.shape[axis] - 1)
        times = high - low + 1
        if int(times.sum()) > _MOST_COPIES:
            raise InputError(
                None,
                f"The voxels are {old.spacing_um} um, and cubes of {step:g} um would be "
                f"{int(times.sum()):,} of them",
                "Give a map of more nearly cubic voxels, or check --voxel-um.",
            )
        nth = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
        places = [np.repeat(p, times) for p in places]
        places[axis] = np.repeat(low, times) + nth
        rows = np.repeat(rows, times)
    return rows, np.ravel_multi_index(tuple(places), grid.shape).astype(np.int64)
