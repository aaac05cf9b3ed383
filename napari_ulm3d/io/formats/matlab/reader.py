"""MATLAB files of version 5 to 7 (``save -v6``, ``-v7``), read a few frames at a time.

The layout is MathWorks' "MAT-File Format": a header of 128 bytes and tagged elements, one
a variable, each plain or as one zlib stream. SciPy reads a variable whole; a clutter
filter needs 200 frames of a file that may hold thousands, so arrays are read here. In a
compressed file frames can only be reached by inflating all before them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.matlab.values import CLASSES, STORAGE, matrix_value
from napari_ulm3d.io.stored.choosing import choose_variable
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    StoredArray,
    Variable,
    full_scale,
    stretch,
)
from napari_ulm3d.io.stored.layout import read_layout
from napari_ulm3d.io.stored.limits import check_claim, check_free
from napari_ulm3d.io.stored.named_facts import facts_from_names, flatten, plain_values
from napari_ulm3d.io.stored.pairs import PairedArray, with_pairs
from napari_ulm3d.io.stored.streams import ByteStream, FileBytes, InflatedBytes, fill_from_stream

__all__ = ["READER", "MatlabArray", "StructArray"]

_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2
_ORDER = {4: "zxyt", 3: "zxt"}
_SMALL_BYTES = 1 << 18


@dataclass(frozen=True)
class _Entry:
    """A variable of the file: where it is and what its header says."""

    name: str
    shape: tuple[int, ...]
    class_number: int
    is_complex: bool
    compressed: bool
    offset: int
    n_bytes: int
    order: str

    @property
    def variable(self) -> Variable | None:
        """The variable as listed; None for what is no numeric array."""
        if self.class_number not in CLASSES:
            return None
        dtype = np.dtype(CLASSES[self.class_number])
        if self.is_complex:
            dtype = np.dtype(np.complex128 if dtype.itemsize == 8 else np.complex64)
        return Variable(self.name, self.shape, dtype)


@dataclass(frozen=True)
class MatlabArray:
    """A numeric variable, axes in MATLAB's order; implements `StoredArray`."""

    path: str
    entry: _Entry

    @property
    def name(self) -> str:
        return f"{self.path} ({self.entry.name})"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        variable = self.entry.variable
        assert variable is not None
        return variable.dtype

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        parts = [out.real, out.imag] if self.entry.is_complex else [out]
        # MATLAB's first axis is the fastest: the transposed array is in C order.
        shape = self.shape[::-1]
        c_axis = None if axis is None else len(shape) - 1 - axis
        with open(self.path, "rb") as file:
            for number, part in enumerate(parts):
                stream, dtype = self._part(file, number)
                fill_from_stream(stream, dtype, shape, part.T, c_axis, start, stop)

    def _part(self, file: IO[bytes], number: int) -> tuple[ByteStream, np.dtype[Any]]:
        """The stream at the first element of the real (0) or imaginary (1) part."""
        stream = _element_stream(file, self.entry)
        _matrix_header(stream, self.entry.order)
        for _ in range(number):
            _, n_bytes, packed = _tag(stream, self.entry.order)
            if not packed:
                stream.skip(n_bytes + -n_bytes % 8)
        kind, n_bytes, packed = _tag(stream, self.entry.order)
        dtype = np.dtype(self.entry.order + STORAGE[kind])
        if n_bytes != prod(self.shape) * dtype.itemsize:
            raise ValueError(f"{self.entry.name} has {n_bytes} bytes for the shape {self.shape}")
        return FileBytes(BytesIO(packed)) if packed else stream, dtype


@dataclass(frozen=True)
class StructArray(FileArray):
    """An array in a structure; the structure is read whole at each read."""

    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.path} ({'.'.join(self.keys)})"

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        path = Path(self.path)
        found = [entry for entry in _entries(path) if entry.name == self.keys[0]]
        value: Any = _load(path, found)
        for key in self.keys:
            value = value[key]
        out[...] = np.asarray(value)[stretch(len(self.shape), axis, start, stop)]


def _sniff(path: Path, head: bytes) -> bool:
    return head[:6] == b"MATLAB" and head[126:128] in (b"IM", b"MI") and b"\x89HDF" not in head


def _list(path: Path) -> tuple[Variable, ...]:
    entries = list(_entries(path))
    found = [e.variable for e in entries if e.variable is not None]
    return (*found, *_struct_arrays(path, entries))


def _open(path: Path, variable: str | None) -> Content:
    entries = list(_entries(path))
    in_structs = _struct_arrays(path, entries)
    listed = [e.variable for e in entries if e.variable is not None]
    candidates, pairs = with_pairs([*listed, *in_structs], variable)
    chosen, why = choose_variable(path, candidates, variable)

    def stored(name: str) -> StoredArray:
        if name in in_structs_by_name:
            found = in_structs_by_name[name]
            return StructArray(str(path), found.shape, found.dtype, tuple(name.split(".")))
        return MatlabArray(str(path), next(e for e in entries if e.name == name))

    in_structs_by_name = {v.name: v for v in in_structs}
    array: StoredArray
    if chosen.name in pairs:
        real, imag = pairs[chosen.name]
        array = PairedArray(stored(real.name), stored(imag.name))
    else:
        array = stored(chosen.name)
    small = [
        e
        for e in entries
        if e.n_bytes <= _SMALL_BYTES >= prod(e.shape) and e.name != chosen.name and len(e.shape) < 3
    ]
    values = flatten(_load(path, small))
    facts, notes = facts_from_names(values, chosen.shape)
    order = ", ".join(_ORDER.get(len(chosen.shape), ""))
    said = f"{chosen.name} was taken as MATLAB [{order}]." if order else ""
    metadata = plain_values(values)
    return Content(
        arrays=(array,),
        variable=chosen.name,
        why=why,
        layout=read_layout(array, order=_ORDER, said=said),
        facts=facts,
        variables=(*listed, *in_structs),
        notes=tuple(notes),
        metadata=metadata,
        full_scale=full_scale(chosen.dtype),
    )


def _struct_arrays(path: Path, entries: list[_Entry]) -> tuple[Variable, ...]:
    flat = flatten(_load(path, [e for e in entries if e.class_number == _STRUCT]))
    return tuple(
        Variable(name, value.shape, value.dtype)
        for name, value in flat.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "iufc" and value.ndim >= 2
    )


def _load(path: Path, entries: Sequence[_Entry]) -> dict[str, Any]:
    """The values of variables, read whole: structures, text and small arrays."""
    return {entry.name: matrix_value(_content(path, entry), entry.order) for entry in entries}


def _content(path: Path, entry: _Entry) -> memoryview:
    """The bytes of a variable's matrix element, inflated."""
    with path.open("rb") as file:
        file.seek(entry.offset + 8)
        stream: ByteStream = FileBytes(file)
        n_bytes = entry.n_bytes
        if entry.compressed:
            stream = InflatedBytes(file)
            _, n_bytes, _ = _tag(stream, entry.order)
        check_claim(path, entry.name, (n_bytes,), np.dtype("u1"), entry.n_bytes)
        check_free(str(path), n_bytes, entry.name, "Save its arrays as variables of their own.")
        return memoryview(_take(stream, n_bytes))


def _entries(path: Path) -> Iterator[_Entry]:
    """The variables' headers, without their data."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(128)
        order = "<" if head[126:128] == b"IM" else ">"
        offset = 128
        while offset + 8 <= size:
            file.seek(offset)
            kind, n_bytes = struct.unpack(f"{order}II", file.read(8))
            end = offset + 8 + n_bytes
            if end > size:
                raise InputError(
                    path,
                    f"ends {end - size} bytes too early",
                    "It was cut short: copy it again from where it was made.",
                )
            if kind in (_MATRIX, _COMPRESSED):
                entry = _Entry("", (), 0, False, kind == _COMPRESSED, offset, n_bytes, order)
                number, is_complex, shape, name = _matrix_header(
                    _element_stream(file, entry), order
                )
                if name:
                    compressed = kind == _COMPRESSED
                    yield _Entry(
                        name, shape, number, is_complex, compressed, offset, n_bytes, order
                    )
            offset = end if kind == _COMPRESSED else end + -n_bytes % 8


def _element_stream(file: IO[bytes], entry: _Entry) -> ByteStream:
    """The stream behind the tag of the variable's matrix element."""
    file.seek(entry.offset + 8)
    if not entry.compressed:
        return FileBytes(file)
    stream = InflatedBytes(file)
    _tag(stream, entry.order)
    return stream


def _tag(stream: ByteStream, order: str) -> tuple[int, int, bytes]:
    """Type and byte count of the next element; a small element brings its data along."""
    raw = _take(stream, 8)
    kind, n_bytes = struct.unpack(f"{order}II", raw)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, raw[4:]
    return kind, n_bytes, b""


def _take(stream: ByteStream, count: int) -> bytes:
    buffer = bytearray(count)
    stream.read_into(memoryview(buffer))
    return bytes(buffer)


def _small_element(stream: ByteStream, order: str) -> bytes:
    _, n_bytes, data = _tag(stream, order)
    if data:
        return data[:n_bytes]
    if n_bytes > 4096:
        raise ValueError("a variable's header is damaged")
    return _take(stream, n_bytes + -n_bytes % 8)[:n_bytes]


def _matrix_header(stream: ByteStream, order: str) -> tuple[int, bool, tuple[int, ...], str]:
    """Class number, complex or not, shape and name; leaves the stream at the data."""
    flags = _small_element(stream, order)
    if len(flags) < 8:
        raise ValueError("a variable's header is damaged")
    word = struct.unpack(f"{order}I", flags[:4])[0]
    if word & 0xFF not in range(1, 16):
        # Opaque objects have another header; they hold no arrays that could be read.
        return word & 0xFF, False, (), ""
    dims = _small_element(stream, order)
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    name = _small_element(stream, order).decode("latin-1")
    return word & 0xFF, bool(word & 0x800), tuple(shape), name


READER = Reader("MATLAB v5", (".mat",), _sniff, _open, _list)
