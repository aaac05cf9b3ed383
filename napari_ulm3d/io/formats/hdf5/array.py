"""HDF5 datasets as stored arrays, and the small values beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.facts.named import plain
from napari_ulm3d.io.formats.hdf5.chunks import can_inflate, inflate_into
from napari_ulm3d.io.formats.hdf5.filters import can_decode
from napari_ulm3d.io.formats.hdf5.safety import dataset_within, elsewhere, short_texts, within
from napari_ulm3d.io.stored.content import FileArray, Variable, fill_in_chunks
from napari_ulm3d.io.stored.pairs import as_numbers, number_type

if TYPE_CHECKING:
    import h5py

__all__ = ["H5Array", "attributes_above", "list_datasets", "small_values"]

_SMALL_BYTES = 1 << 16
_MOST_SMALL_VALUES = 1000


@dataclass(frozen=True)
class H5Array(FileArray):
    """A dataset, axes in h5py's order; implements `StoredArray`. Opens the file at each read."""

    dataset: str
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.path} ({self.label or self.dataset})"

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        import h5py

        with h5py.File(self.path, "r") as file:
            data = dataset_within(file, self.dataset)
            if axis is None and data.ndim:
                axis, start, stop = 0, 0, data.shape[0]
            if axis is None:
                out[...] = as_numbers(data[()])
                return
            if can_inflate(data):
                inflate_into(data, out, axis, start, stop, as_numbers)
                return
            # Read whole storage chunks, or each would be inflated several times.
            align = data.chunks[axis] if data.chunks else 1
            bytes_each = data.dtype.itemsize * data.size // max(1, data.shape[axis])
            fill_in_chunks(
                out, axis, start, stop, bytes_each, lambda index: as_numbers(data[index]), align
            )


def list_datasets(file: h5py.File) -> list[Variable]:
    """All numeric datasets except those in MATLAB's internal groups (``#refs#``)."""
    import h5py

    found: list[Variable] = []

    def visit(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or name.startswith("#") or item.shape is None:
            return
        if h5py.check_ref_dtype(item.dtype) is None:
            found.append(Variable(name, tuple(item.shape), number_type(item.dtype)))

    file.visititems(visit)
    return found


def small_values(file: h5py.File) -> dict[str, Any]:
    """Attributes and small datasets of the file by dotted name, for `facts_from_names`."""
    import h5py

    values: dict[str, Any] = {}

    def visit(name: str, item: object) -> None:
        if name.startswith("#") or len(values) > _MOST_SMALL_VALUES:
            return
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            text = item.attrs.get("MATLAB_class") == b"char"
            small = item.size * item.dtype.itemsize <= _SMALL_BYTES and not elsewhere(item)
            if small and can_decode(item) and (item.dtype.kind in "biufS" or short_texts(item)):
                value = item[()]
                if text and item.dtype.kind == "u":
                    value = "".join(map(chr, np.asarray(value).reshape(-1)))
                values[name.replace("/", ".")] = value
        for key, value in item.attrs.items():  # type: ignore[attr-defined]
            if not key.startswith(("MATLAB", "DIMENSION", "CLASS", "REFERENCE")):
                values.setdefault(f"{name.replace('/', '.')}.{key}", value)

    for key, value in file.attrs.items():
        values[key] = value
    file.visititems(visit)
    return values


def attributes_above(file: h5py.File, dataset: str) -> dict[str, Any]:
    """Attributes of a dataset and of its parent groups; the nearest ones take precedence."""
    merged = {key: plain(value) for key, value in file.attrs.items()}
    parts = Path(dataset).parts
    for depth in range(1, len(parts) + 1):
        item = within(file, "/".join(parts[:depth]))
        if item is not None:
            merged |= {key: plain(value) for key, value in item.attrs.items()}
    return {key: value for key, value in merged.items() if value is not None}
