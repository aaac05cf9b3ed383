"""NumPy ``.npy`` files, memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.numpy.header import npy_content, read_header
from napari_ulm3d.io.stored.content import Content, FileArray, Reader, Variable, fill_in_chunks
from napari_ulm3d.io.stored.pairs import as_numbers, number_type

__all__ = ["READER", "NpyArray"]


class NpyArray(FileArray):
    """An ``.npy`` file; implements `StoredArray`."""

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        if axis is None:
            out[...] = as_numbers(array)
            return
        bytes_each = array.nbytes // max(1, array.shape[axis])
        fill_in_chunks(out, axis, start, stop, bytes_each, lambda index: as_numbers(array[index]))


def _npy_variable(path: Path) -> Variable:
    with path.open("rb") as file:
        shape, _, dtype = read_header(file)
    return Variable(path.stem, shape, number_type(dtype))


def _open_npy(path: Path, variable: str | None) -> Content:
    found = _npy_variable(path)
    if found.dtype.kind not in "iufc" or found.size == 0:
        raise InputError(
            path,
            f"contains no usable numbers ({found.shape} {found.dtype})",
            "Save the frames as a numeric array.",
        )
    # Mapping it now detects a truncated file before any frame is requested.
    np.load(path, mmap_mode="r", allow_pickle=False)
    return npy_content(
        NpyArray(str(path), found.shape, found.dtype), found, "the only array", (found,), {}
    )


READER = Reader(
    "NumPy .npy",
    (".npy",),
    lambda path, head: head[:6] == b"\x93NUMPY",
    _open_npy,
    lambda path: (_npy_variable(path),),
)
