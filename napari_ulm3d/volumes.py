"""Vessel maps: super-resolved volumes, stored as their non-empty voxels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError

__all__ = ["VesselMap", "refuse_predicted"]


@dataclass(frozen=True)
class VesselMap:
    """A volume on a fine grid in which most voxels are empty.

    A whole brain at 10 um has 10^8 voxels or more, of which bubbles reach a few percent;
    only those are stored.

    Parameters
    ----------
    name
        ``density``, ``speed``, ``velocity_z``, ``direction``, ``power_doppler``, ...
    grid
        The map's own (fine) grid.
    index
        (n,) int64, C-order flat indices of the non-empty voxels, ascending.
    values
        (n,) float32.
    unit
        Unit of the values as text: ``"tracks"``, ``"mm/s"``, ``"a.u."``.
    signed
        Whether values lie on both sides of zero (and need a diverging colour map).
    prediction
        For a map predicted by a network: its task, weights and source, as plain values. None: the
        map was measured.
    """

    name: str
    grid: Grid
    index: NDArray[np.int64]
    values: NDArray[np.float32]
    unit: str = ""
    signed: bool = False
    prediction: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        index = np.ascontiguousarray(self.index, np.int64)
        values = np.ascontiguousarray(self.values, np.float32)
        if index.ndim != 1 or index.shape != values.shape:
            raise ValueError(
                f"index {index.shape} and values {values.shape} must be 1-D and of equal length"
            )
        if index.size and (
            index[0] < 0 or index[-1] >= self.grid.size or (index[1:] <= index[:-1]).any()
        ):
            raise ValueError("map indices must be ascending, unique and inside the grid")
        if self.prediction is not None and "predicted" not in self.name:
            # Tables, profiles, layers and files carry the name wherever they go.
            object.__setattr__(self, "name", f"predicted_{self.name}")
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "values", values)

    @classmethod
    def from_dense(
        cls, name: str, data: NDArray[np.generic], grid: Grid, unit: str = "", signed: bool = False
    ) -> VesselMap:
        """Build from a full volume (z, y, x); zeros are dropped."""
        if data.shape != grid.shape:
            raise ValueError(f"data {data.shape} and grid {grid.shape} differ in shape")
        index = np.flatnonzero(data)
        return cls(name, grid, index, data.ravel()[index].astype(np.float32), unit, signed)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.grid.shape

    @property
    def predicted(self) -> bool:
        """Whether a network predicted this map, which therefore is not a measurement."""
        return self.prediction is not None

    def slab(self, start: int, stop: int) -> NDArray[np.float32]:
        """Planes z = start..stop-1 as a full array (stop - start, y, x)."""
        plane = self.shape[1] * self.shape[2]
        low, high = np.searchsorted(self.index, (start * plane, stop * plane))
        out = np.zeros((stop - start, *self.shape[1:]), np.float32)
        out.ravel()[self.index[low:high] - start * plane] = self.values[low:high]
        return out

    def slabs(self, depth: int = 1) -> Iterator[NDArray[np.float32]]:
        """Iterate over the volume from the top, `depth` planes at a time."""
        for start in range(0, self.shape[0], depth):
            yield self.slab(start, min(start + depth, self.shape[0]))

    def dense(self) -> NDArray[np.float32]:
        """The full volume (z, y, x), 4 bytes per voxel of the grid."""
        return self.slab(0, self.shape[0])

    def projection(self, axis: int) -> NDArray[np.float32]:
        """Maximum projection along an axis (of the value furthest from zero if signed)."""
        coordinates = list(np.unravel_index(self.index, self.shape))
        coordinates.pop(axis)
        shape = tuple(n for k, n in enumerate(self.shape) if k != axis)
        flat = np.ravel_multi_index(tuple(coordinates), shape)
        out = np.zeros(int(np.prod(shape)), np.float32)
        if self.signed:
            order = np.argsort(np.abs(self.values), kind="stable")
            out[flat[order]] = self.values[order]
        else:
            np.maximum.at(out, flat, self.values)
        return out.reshape(shape)


def refuse_predicted(*maps: object, what: str) -> None:
    """Refuse to measure a predicted map. Called by everything that measures maps.

    Parameters
    ----------
    maps
        Any objects; only vessel maps are checked.
    what
        What would be measured: "resolution", "score".

    Raises
    ------
    InputError
        One of the maps was predicted.
    """
    for each in maps:
        if isinstance(each, VesselMap) and each.predicted:
            raise InputError(
                None,
                f"The map {each.name} was predicted by a network, and a {what} is a measurement",
                "Give the map that it was made from.",
            )
