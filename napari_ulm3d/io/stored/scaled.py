"""Stored integers that represent other values through a calibration given in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.content import StoredArray

__all__ = ["ScaledArray", "packing_notes", "unpacked"]


@dataclass(frozen=True)
class ScaledArray:
    """An array whose values are a polynomial of the stored ones; implements `StoredArray`.

    `coefficients` belong to the powers 0, 1, 2, ...: (intercept, slope) for a straight line.
    """

    stored: StoredArray
    coefficients: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def value(self, stored: float) -> float:
        """The value represented by one stored number."""
        return float(np.polynomial.polynomial.polyval(stored, self.coefficients))

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        self.stored.read_into(out, axis, start, stop)
        # One plane at a time, so that the polynomial's wider numbers need little memory.
        for part in out if out.ndim > 1 else (out,):
            part[...] = np.polynomial.polynomial.polyval(part.astype(np.float64), self.coefficients)


def unpacked(array: StoredArray, attributes: Mapping[str, Any]) -> StoredArray:
    """Apply an array's packing, ``scale_factor`` and ``add_offset`` of the CF conventions.

    netCDF and xarray (also in Zarr) pack floating-point values into integers this way.
    """
    if array.dtype.kind not in "iuf":
        return array
    slope = _number(attributes.get("scale_factor"), 1.0)
    offset = _number(attributes.get("add_offset"), 0.0)
    if (offset, slope) == (0.0, 1.0) or not (isfinite(offset) and isfinite(slope) and slope):
        return array
    return ScaledArray(array, (offset, slope))


def packing_notes(array: StoredArray) -> list[str]:
    """Note how an array from `unpacked`, or a pair of them, was scaled."""
    for each in (array, getattr(array, "real", None)):
        if isinstance(each, ScaledArray):
            offset, slope = each.coefficients
            return [f"The packing was undone: {slope:g} * value + {offset:g}."]
    return []


def _number(value: Any, default: float) -> float:
    values = np.asarray(default if value is None else value).reshape(-1)
    return float(values[0]) if values.size == 1 and values.dtype.kind in "iuf" else default
