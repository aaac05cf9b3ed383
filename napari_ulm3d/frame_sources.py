"""Consecutive frames read on demand: files, arrays, and several files joined as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError

__all__ = ["ArraySource", "FrameSource", "JoinedSource", "refuse_beyond_single", "source_path"]


@runtime_checkable
class FrameSource(Protocol):
    """Consecutive frames that are read on demand, usually from one file.

    Attributes
    ----------
    name
        Name used in messages, usually the path of the file.
    shape
        (t, z, y, x).
    dtype
        complex64 for IQ, float32 for an envelope.
    """

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int, int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop-1 as a new C-contiguous array (t, z, y, x) of `dtype`."""
        ...


def source_path(source: FrameSource) -> Path | None:
    """Path of a source; None for frames that are in memory or computed on demand.

    A source whose `name` is more than its path gives the path as an attribute `file`.
    """
    path = Path(getattr(source, "file", source.name))
    return path.absolute() if path.exists() else None


@dataclass(frozen=True)
class ArraySource:
    """Frames that are already in memory, (t, z, y, x) complex or real."""

    array: NDArray[Any] = field(repr=False)
    name: str = "array"

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or min(self.array.shape) < 1:
            raise InputError(
                self.name,
                f"has the shape {self.array.shape}",
                "Give the frames as an array with four non-empty axes (t, z, y, x).",
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        t, z, y, x = self.array.shape
        return (t, z, y, x)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.complex64 if np.iscomplexobj(self.array) else np.float32)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        values = self.array[start:stop]
        if values.dtype.kind in "fc" and values.dtype.itemsize > self.dtype.itemsize:
            refuse_beyond_single(values, self.name)
        return np.array(values, dtype=self.dtype, order="C")


def refuse_beyond_single(values: NDArray[Any], name: str) -> None:
    """Refuse double-precision values that single precision cannot represent.

    Raises
    ------
    InputError
        The largest magnitude is above 1e38, or below 1e-33 but not zero.
    """
    parts = (values.real, values.imag) if values.dtype.kind == "c" else (values,)
    largest = max(max(float(part.max()), -float(part.min())) for part in parts)
    if np.isfinite(largest) and largest and not 1e-33 < largest < 1e38:
        raise InputError(
            name,
            f"has values up to {largest:.3g}, which single precision cannot represent",
            "Scale the values, for example by dividing by that number.",
        )


@dataclass(frozen=True)
class JoinedSource:
    """Several sources read as one, so that short files form a block together."""

    parts: tuple[FrameSource, ...]

    @property
    def name(self) -> str:
        first, last = self.parts[0].name, self.parts[-1].name
        return f"{first} to {Path(last).name}"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        _, z, y, x = self.parts[0].shape
        return (sum(part.shape[0] for part in self.parts), z, y, x)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop-1 from all parts that they span."""
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        first = 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                frames[first + low - start : first + high - start] = part.read(low, high)
            first += part.shape[0]
        return frames
