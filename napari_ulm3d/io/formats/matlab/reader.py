"""MATLAB files of version 5 to 7 (``save -v6``, ``-v7``), read a few frames at a time.

The layout follows MathWorks' "MAT-File Format": a 128-byte header and one tagged element per
variable, either plain or a zlib stream. SciPy reads whole variables; a clutter filter needs
200 frames of a file that may hold thousands, so arrays are read here in parts, including those
in structures and cell arrays. In a compressed file, frames can only be reached by inflating
everything before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.facts.named import facts_from_names, flatten, plain_values
from napari_ulm3d.io.formats.matlab.elements import (
    CELL,
    STRUCT,
    Entry,
    Leaf,
    element_stream,
    entries,
    leaves,
    tag,
    take,
)
from napari_ulm3d.io.formats.matlab.values import CLASSES, STORAGE, matrix_value
from napari_ulm3d.io.stored.blocks import refuse_one_of_unlike, with_blocks
from napari_ulm3d.io.stored.choosing import choose_variable
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    StoredArray,
    Variable,
    full_scale,
)
from napari_ulm3d.io.stored.layout import read_layout
from napari_ulm3d.io.stored.limits import check_claim, check_free
from napari_ulm3d.io.stored.pairs import PairedArray, with_pairs
from napari_ulm3d.io.stored.streams import ByteStream, FileBytes, fill_from_stream

__all__ = ["READER", "MatlabArray"]

_ORDER = {4: "zxyt", 3: "zxt"}
#: 2-D arrays in structures are listed only if they have more elements than this.
_FEW = 16
_SMALL_BYTES = 1 << 18


@dataclass(frozen=True)
class MatlabArray(FileArray):
    """A numeric array with its axes in MATLAB's order; implements `StoredArray`.

    It is a variable, or part of a structure or cell array.
    """

    entry: Entry
    leaf: Leaf

    @property
    def name(self) -> str:
        return f"{self.path} ({self.leaf.name})"

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        parts = [out.real, out.imag] if self.leaf.is_complex else [out]
        # MATLAB's first axis varies fastest, so the transposed array is in C order.
        shape = self.shape[::-1]
        c_axis = None if axis is None else len(shape) - 1 - axis
        with open(self.path, "rb") as file:
            for number, part in enumerate(parts):
                stream, dtype = self._part(file, number)
                fill_from_stream(stream, dtype, shape, part.T, c_axis, start, stop)

    def _part(self, file: IO[bytes], number: int) -> tuple[ByteStream, np.dtype[Any]]:
        """The stream at the first element of the real (0) or imaginary (1) part."""
        stream, _ = element_stream(file, self.entry)
        stream.skip(self.leaf.start)
        for _ in range(number):
            _, n_bytes, packed = tag(stream, self.entry.order)
            if not packed:
                stream.skip(n_bytes + -n_bytes % 8)
        kind, n_bytes, packed = tag(stream, self.entry.order)
        dtype = np.dtype(self.entry.order + STORAGE[kind])
        if n_bytes != prod(self.shape) * dtype.itemsize:
            raise ValueError(f"{self.leaf.name} has {n_bytes} bytes for the shape {self.shape}")
        return FileBytes(BytesIO(packed)) if packed else stream, dtype


def _sniff(path: Path, head: bytes) -> bool:
    return head[:6] == b"MATLAB" and head[126:128] in (b"IM", b"MI") and b"\x89HDF" not in head


def _list(path: Path) -> tuple[Variable, ...]:
    return tuple(v for v, _, _ in _arrays(path, list(entries(path))))


def _arrays(path: Path, found: Sequence[Entry]) -> list[tuple[Variable, Entry, Leaf]]:
    """List all numeric arrays: variables, then arrays in structures and cell arrays."""
    outer = [e for e in found if e.class_number in CLASSES]
    inner = [e for e in found if e.class_number in (CELL, STRUCT)]
    return [
        (leaf.variable, entry, leaf)
        for entry in (*outer, *inner)
        for leaf in leaves(path, entry)
        if entry in outer or len(leaf.shape) > 2 or prod(leaf.shape) > _FEW
    ]


def _open(path: Path, variable: str | None) -> Content:
    found = list(entries(path))
    arrays = _arrays(path, found)
    listed = [v for v, _, _ in arrays]
    candidates, pairs = with_pairs(listed, variable)
    candidates, blocks = with_blocks(candidates, variable, time_last=True)
    chosen, why = choose_variable(path, candidates, variable)
    if variable is None:
        refuse_one_of_unlike(path, chosen, candidates)
    by_name = {
        v.name: MatlabArray(str(path), v.shape, v.dtype, entry, leaf) for v, entry, leaf in arrays
    }

    def stored(name: str) -> StoredArray:
        halves = [by_name[half.name] for half in pairs.get(name, ())]
        return PairedArray(*halves) if halves else by_name[name]

    series = blocks.get(chosen.name, (chosen,))
    read = tuple(stored(v.name) for v in series)
    small = [
        e
        for e in found
        if e.n_bytes <= _SMALL_BYTES >= prod(e.shape) and e.name != chosen.name and len(e.shape) < 3
    ]
    values = flatten({e.name: matrix_value(_content(path, e), e.order) for e in small})
    for entry in found:
        if entry.class_number == STRUCT and entry not in small:
            values |= {x.name: x.values for x in leaves(path, entry) if x.values is not None}
    facts, notes = facts_from_names(values, chosen.shape)
    order = {2: "zx", **_ORDER} if len(series) > 1 else _ORDER
    letters = ", ".join(order.get(len(series[0].shape), ""))
    said = f"{chosen.name} was taken as MATLAB [{letters}]." if letters else ""
    if len(series) > 1:
        notes.append(f"The {len(series)} elements of {chosen.name} are consecutive blocks.")
    metadata = plain_values(values)
    return Content(
        arrays=read,
        variable=chosen.name,
        why=why,
        layout=read_layout(read[0], order=order, said=said),
        facts=facts,
        variables=tuple(listed),
        notes=tuple(notes),
        metadata=metadata,
        full_scale=full_scale(chosen.dtype),
    )


def _content(path: Path, entry: Entry) -> memoryview:
    """The inflated bytes of a variable's matrix element."""
    with path.open("rb") as file:
        stream, n_bytes = element_stream(file, entry)
        check_claim(path, entry.name, (n_bytes,), np.dtype("u1"), entry.n_bytes)
        check_free(str(path), n_bytes, entry.name, "Save its arrays as separate variables.")
        return memoryview(take(stream, n_bytes))


READER = Reader("MATLAB v5", (".mat",), _sniff, _open, _list)
