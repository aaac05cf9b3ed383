"""Stored integers that stand for other values: a calibration that the file states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.content import StoredArray

__all__ = ["ScaledArray"]


@dataclass(frozen=True)
class ScaledArray:
    """An array whose values are a polynomial of the stored ones; implements `StoredArray`.

    `coefficients` are those of the powers 0, 1, 2, ...: (intercept, slope) for a line.
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
        """The value that one stored number stands for."""
        return float(np.polynomial.polynomial.polyval(stored, self.coefficients))

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        self.stored.read_into(out, axis, start, stop)
        # Plane by plane, so that the wider numbers of the polynomial take little memory.
        for part in out if out.ndim > 1 else (out,):
            part[...] = np.polynomial.polynomial.polyval(part.astype(np.float64), self.coefficients)
