"""Tagged elements of a version 5 file, scanned from front to back without reading their values."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.matlab.values import CLASSES, STORAGE
from napari_ulm3d.io.stored.content import Variable
from napari_ulm3d.io.stored.streams import ByteStream, FileBytes, InflatedBytes

__all__ = ["CELL", "STRUCT", "Entry", "Leaf", "element_stream", "entries", "leaves", "tag", "take"]

CELL, STRUCT = 1, 2
_MATRIX, _COMPRESSED = 14, 15
_MOST_RECORDS, _MOST_DEPTH, _MOST_NAMES = 4096, 8, 1 << 20
_MOST_VALUES = 256


@dataclass(frozen=True)
class Entry:
    """A variable in the file: its position and the contents of its header."""

    name: str
    shape: tuple[int, ...]
    class_number: int
    compressed: bool
    offset: int
    n_bytes: int
    order: str


@dataclass(frozen=True)
class Leaf:
    """A numeric array in a variable: the variable itself, or part of a structure or cell array.

    `start` is the offset of the values from the beginning of the (inflated) element, in bytes;
    `values` are included if there are few.
    """

    name: str
    shape: tuple[int, ...]
    class_number: int
    is_complex: bool
    start: int
    values: NDArray[Any] | None = None

    @property
    def variable(self) -> Variable:
        """The array as a listed variable."""
        dtype = np.dtype(CLASSES[self.class_number])
        if self.is_complex:
            dtype = np.dtype(np.complex128 if dtype.itemsize == 8 else np.complex64)
        return Variable(self.name, self.shape, dtype)


def entries(path: Path) -> Iterator[Entry]:
    """Read the headers of all variables, without their data."""
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
                    "It is incomplete: copy it again from the original.",
                )
            if kind in (_MATRIX, _COMPRESSED):
                compressed = kind == _COMPRESSED
                entry = Entry("", (), 0, compressed, offset, n_bytes, order)
                number, _, shape, name = _matrix_header(element_stream(file, entry)[0], order)
                if name:
                    yield Entry(name, shape, number, compressed, offset, n_bytes, order)
            offset = end if kind == _COMPRESSED else end + -n_bytes % 8


def element_stream(file: IO[bytes], entry: Entry) -> tuple[ByteStream, int]:
    """The stream after the tag of the variable's matrix element, and the element's size."""
    file.seek(entry.offset + 8)
    if not entry.compressed:
        return FileBytes(file), entry.n_bytes
    stream = InflatedBytes(file)
    return stream, tag(stream, entry.order)[1]


def leaves(path: Path, entry: Entry) -> list[Leaf]:
    """The numeric arrays of a variable; none for tables with thousands of records."""
    with path.open("rb") as file:
        stream, n_bytes = element_stream(file, entry)
        found = _Walk(stream, entry.order).matrix(entry.name, n_bytes, _MOST_DEPTH)
        # A plain array has nothing after its header, and inflating its values takes long.
        return list(islice(found, 1) if entry.class_number in CLASSES else found)


class _Walk:
    """A stream that counts its position, so that elements already passed can be found again."""

    def __init__(self, stream: ByteStream, order: str) -> None:
        self._stream, self._order = stream, order
        self.position = 0

    def read_into(self, buffer: memoryview) -> None:
        self._stream.read_into(buffer)
        self.position += len(buffer)

    def skip(self, count: int) -> None:
        self._stream.skip(count)
        self.position += count

    def matrix(self, name: str, n_bytes: int, depth: int) -> Iterator[Leaf]:
        """Yield the arrays of a matrix element, starting after its tag; ends after the element."""
        end = self.position + n_bytes
        number, is_complex, shape, _ = _matrix_header(self, self._order)
        if number in CLASSES:
            start = self.position
            few = 0 < prod(shape) <= _MOST_VALUES and not is_complex
            values = self._values(shape) if few else None
            yield Leaf(name, shape, number, is_complex, start, values)
        elif depth > 0 and number in (CELL, STRUCT) and 0 <= prod(shape) <= _MOST_RECORDS:
            fields = self._field_names() if number == STRUCT else [""]
            for k in range(1, prod(shape) + 1):
                for field in fields:
                    yield from self._inner(_inner_name(name, number, field, k, shape), end, depth)
        if self.position > end:
            raise ValueError(f"{name} is longer than the variable that contains it")
        self.skip(end - self.position)

    def _inner(self, name: str, end: int, depth: int) -> Iterator[Leaf]:
        _, n_bytes, _ = tag(self, self._order)
        if n_bytes > end - self.position:
            raise ValueError(f"{name} is longer than the variable that contains it")
        if n_bytes:
            yield from self.matrix(name, n_bytes, depth - 1)

    def _field_names(self) -> list[str]:
        width = int(np.frombuffer(_small_element(self, self._order), f"{self._order}i4")[0])
        _, n_bytes, packed = tag(self, self._order)
        if width < 1 or n_bytes > _MOST_NAMES:
            raise ValueError("the field names of a structure are damaged")
        raw = packed[:n_bytes] if packed else take(self, n_bytes + -n_bytes % 8)[:n_bytes]
        return [
            raw[i : i + width].split(b"\0")[0].decode("latin-1") for i in range(0, n_bytes, width)
        ]

    def _values(self, shape: tuple[int, ...]) -> NDArray[Any]:
        kind, n_bytes, packed = tag(self, self._order)
        if kind not in STORAGE or n_bytes > 8 * _MOST_VALUES:
            raise ValueError("the values of an array are damaged")
        raw = packed[:n_bytes] if packed else take(self, n_bytes + -n_bytes % 8)[:n_bytes]
        return np.frombuffer(raw, self._order + STORAGE[kind]).reshape(shape, order="F")


def _inner_name(name: str, number: int, field: str, k: int, shape: tuple[int, ...]) -> str:
    if number == CELL:
        return f"{name}{{{k}}}"
    return f"{name}.{field}" if prod(shape) == 1 else f"{name}({k}).{field}"


def tag(stream: ByteStream, order: str) -> tuple[int, int, bytes]:
    """Type and byte count of the next element; a small element includes its data."""
    raw = take(stream, 8)
    kind, n_bytes = struct.unpack(f"{order}II", raw)
    if kind >> 16:
        return kind & 0xFFFF, kind >> 16, raw[4:]
    return kind, n_bytes, b""


def take(stream: ByteStream, count: int) -> bytes:
    """Read the next bytes."""
    buffer = bytearray(count)
    stream.read_into(memoryview(buffer))
    return bytes(buffer)


def _small_element(stream: ByteStream, order: str) -> bytes:
    _, n_bytes, data = tag(stream, order)
    if data:
        return data[:n_bytes]
    if n_bytes > 4096:
        raise ValueError("the header of a variable is damaged")
    return take(stream, n_bytes + -n_bytes % 8)[:n_bytes]


def _matrix_header(stream: ByteStream, order: str) -> tuple[int, bool, tuple[int, ...], str]:
    """Class number, complex flag, shape and name; leaves the stream at the data."""
    flags = _small_element(stream, order)
    if len(flags) < 8:
        raise ValueError("the header of a variable is damaged")
    word = struct.unpack(f"{order}I", flags[:4])[0]
    if word & 0xFF not in range(1, 16):
        # Opaque objects have a different header and contain no readable arrays.
        return word & 0xFF, False, (), ""
    dims = _small_element(stream, order)
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    name = _small_element(stream, order).decode("latin-1")
    return word & 0xFF, bool(word & 0x800), tuple(shape), name
