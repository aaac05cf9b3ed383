"""Consecutive frames that are read when they are asked for: files, arrays, several files as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError

__all__ = ["ArraySource", "FrameSource", "JoinedSource", "refuse_beyond_single", "source_path"]


@runtime_checkable
class FrameSource(Protocol):
    """Consecutive frames that are read when asked for: usually one file.

    Attributes
    ----------
    name
        What to call it in messages, usually the file's path.
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
        """Frames start..stop-1 as a new C-contiguous array (t, z, y, x) of `dtype`."""
        ...


def source_path(source: FrameSource) -> Path | None:
    """Where a source is stored; None for frames that are in memory or made when read.

    A source may say so by an attribute `file`, when its `name` says more than the path.
    """
    path = Path(getattr(source, "file", source.name))
    return path.absolute() if path.exists() else None


@dataclass(frozen=True)
class ArraySource:
    """Frames that are already in memory, (t, z, y, x) complex or real."""

    array: NDArray[Any]
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
    """Refuse values in double precision that single precision cannot represent.

    Raises
    ------
    InputError
        The largest value is above 1e38, or it is not zero and below 1e-33.
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
    """Sources whose frames follow each other, read as one: short files make a block together."""

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
        """Frames start..stop-1, of as many parts as they reach over."""
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        first = 0
        for part in self.parts:
            low, high = max(start - first, 0), min(stop - first, part.shape[0])
            if low < high:
                frames[first + low - start : first + high - start] = part.read(low, high)
            first += part.shape[0]
        return frames
