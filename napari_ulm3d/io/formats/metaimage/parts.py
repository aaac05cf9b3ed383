"""MetaImage values in several files: one volume, plane or frame per file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.content import FileArray
from napari_ulm3d.io.stored.streams import FileBytes, fill_from_stream

__all__ = ["MetaImageParts"]


@dataclass(frozen=True)
class MetaImageParts(FileArray):
    """An image in several files, the slowest axis first; implements `StoredArray`.

    Attributes
    ----------
    files
        One file per index of the first `leading` axes, in C order.
    offset
        Byte at which the values begin in each file.
    """

    files: tuple[str, ...]
    offset: int
    leading: int

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        within = self.shape[self.leading :]
        inner = None if axis is None or axis < self.leading else axis - self.leading
        for name, place in zip(self.files, np.ndindex(self.shape[: self.leading]), strict=True):
            index = list(place)
            if axis is not None and axis < self.leading:
                if not start <= index[axis] < stop:
                    continue
                index[axis] -= start
            with open(name, "rb") as file:
                file.seek(self.offset)
                fill_from_stream(
                    FileBytes(file), self.dtype, within, out[tuple(index)], inner, start, stop
                )
