"""The input of the networks: one row of features per non-empty voxel of a map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError
from napari_ulm3d.networks.volumes.config import FEATURES
from napari_ulm3d.volumes import VesselMap

__all__ = ["MapFeatures", "map_features"]

#: Voxel size at which the feature `log_voxel` is zero.
REFERENCE_UM = 10.0
_SPEED_MM_S = 10.0


@dataclass(frozen=True)
class MapFeatures:
    """Non-empty voxels and their features.

    Attributes
    ----------
    grid
        Cubic voxels (an axis of one voxel may have any spacing).
    index
        (n, 3) int32, z, y, x; ascending in C order.
    values
        (n, 7) float32, columns as in `networks.volumes.config.FEATURES`.
    """

    grid: Grid
    index: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def voxel_um(self) -> float:
        """Edge of a voxel, micrometres."""
        return voxel_edge_um(self.grid)

    def without_velocity(self) -> MapFeatures:
        """The same voxels as if speeds had not been measured."""
        values = self.values.copy()
        first = FEATURES.index("has_velocity")
        values[:, first : first + 4] = 0.0
        return MapFeatures(self.grid, self.index, values)


def voxel_edge_um(grid: Grid) -> float:
    """Smallest spacing of a grid along axes of more than one voxel."""
    edges = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    return min(edges or grid.spacing_um)


def map_features(maps: Mapping[str, VesselMap]) -> MapFeatures:
    """Features of the non-empty voxels of a density map.

    Parameters
    ----------
    maps
        ``density``, and optionally ``speed``, ``velocity_z`` and ``direction`` on the same grid;
        these are used only if all three are given. Densities other than track counts (see
        `unit`) are divided by their lower quartile.

    Raises
    ------
    InputError
        A value is negative or not finite, or the maps have different grids.
    """
    density = maps["density"]
    held = density.values != 0
    index, counts = density.index[held], density.values[held].astype(np.float64)
    if not np.isfinite(counts).all():
        raise InputError(
            None,
            "The map holds NaN or infinite values",
            "Set them to zero, which means that nothing was seen there.",
        )
    if (counts < 0).any():
        raise InputError(
            None,
            "The map holds negative values, and a density counts tracks",
            "Give a density or intensity map, not a signed one such as direction or velocity.",
        )
    if density.unit != "tracks" and counts.size:
        counts = counts / np.quantile(counts, 0.25)
    values = np.zeros((len(index), len(FEATURES)), np.float32)
    values[:, 0] = 1.0
    values[:, 1] = np.log1p(counts) / 2
    others = [maps.get(name) for name in ("speed", "velocity_z", "direction")]
    if all(other is not None for other in others):
        speed, axial, direction = (_values_at(o, density, index) for o in others if o is not None)
        values[:, 2] = 1.0
        values[:, 3] = speed / _SPEED_MM_S
        values[:, 4] = axial / _SPEED_MM_S
        values[:, 5] = np.clip(direction / counts, -1, 1)
    values[:, 6] = np.log2(voxel_edge_um(density.grid) / REFERENCE_UM)
    places = np.stack(np.unravel_index(index, density.shape), axis=1).astype(np.int32)
    return MapFeatures(density.grid, places, values)


def _values_at(
    other: VesselMap, density: VesselMap, index: NDArray[np.int64]
) -> NDArray[np.float64]:
    if other.grid != density.grid:
        raise InputError(
            None,
            f"The maps {density.name} and {other.name} have different grids",
            "Give maps of one run.",
        )
    if not np.isfinite(other.values).all():
        raise InputError(
            None,
            f"The map {other.name} holds NaN or infinite values",
            "Set them to zero, or leave that map out.",
        )
    out = np.zeros(index.size)
    at = np.searchsorted(other.index, index)
    at[at == other.index.size] = 0
    if other.index.size:
        found = other.index[at] == index
        out[found] = other.values[at[found]]
    return out
