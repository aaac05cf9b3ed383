"""Values of MATLAB version 5 elements in memory: numbers, text and structures of them.

Only data are created. Cells, sparse arrays, function handles and objects of any class are
skipped, since no acquisition is stored in them. A length beyond the available bytes is never
trusted.
"""

from __future__ import annotations

import struct
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "STORAGE", "matrix_value"]

_CHAR, _STRUCT = 4, 2
#: mxCLASS numbers of numeric arrays; `STORAGE` has the mi numbers of stored element types.
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4"}
CLASSES |= {14: "i8", 15: "u8"}
STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
STORAGE |= {12: "i8", 13: "u8"}
_TEXT = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MOST_RECORDS, _MOST_DEPTH = 16, 16


def matrix_value(data: memoryview, order: str, depth: int = 0) -> Any:
    """Value of a matrix element.

    Parameters
    ----------
    data
        The bytes after its tag.
    order
        ``"<"`` or ``">"``.

    Returns
    -------
    An array with all of MATLAB's axes, a text, a dictionary for a structure (with up to 16
    records: a dictionary of dictionaries, numbered from 1), or None for everything else.

    Raises
    ------
    ValueError
        The bytes are damaged.
    """
    elements = _Elements(data, order)
    flags = elements.numbers()
    if not flags.size or depth > _MOST_DEPTH:
        raise ValueError("the header of a variable is damaged")
    kind, is_complex = int(flags[0]) & 0xFF, bool(int(flags[0]) & 0x800)
    if kind not in (*CLASSES, _CHAR, _STRUCT):
        return None
    shape = tuple(int(n) for n in elements.numbers())
    elements.next()  # the name
    if min(shape, default=-1) < 0:
        raise ValueError(f"a variable has the shape {shape}")
    if kind == _STRUCT:
        return _structure(elements, prod(shape), depth)
    if kind == _CHAR:
        stored, raw = elements.next()
        one_row = len(shape) == 2 and shape[0] == 1
        name = _TEXT.get(stored, "utf-8") + ("" if stored in (1, 2, 16) else _ENDIAN[order])
        return bytes(raw).decode(name, "replace") if one_row else None
    values = elements.numbers().astype(CLASSES[kind])
    if is_complex:
        wide = np.complex128 if values.dtype.itemsize == 8 else np.complex64
        values = (values + 1j * elements.numbers()).astype(wide)
    return values.reshape(shape, order="F")


_ENDIAN = {"<": "-le", ">": "-be"}


def _structure(elements: _Elements, n_records: int, depth: int) -> dict[str, Any] | None:
    (width,) = elements.numbers()
    raw = bytes(elements.next()[1])
    names = [
        raw[i : i + width].split(b"\0")[0].decode("latin-1")
        for i in range(0, len(raw), max(1, width))
    ]
    if n_records > _MOST_RECORDS:
        return None  # a table of thousands of records, such as tracks, is not an acquisition
    records = [{name: elements.matrix(depth + 1) for name in names} for _ in range(n_records)]
    if len(records) == 1:
        return records[0]
    return {str(number): record for number, record in enumerate(records, start=1)}


class _Elements:
    """Consecutive tagged elements."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data, self._order = data, order

    def next(self) -> tuple[int, memoryview]:
        """Type number and bytes of the next element."""
        if len(self._data) < 8:
            raise ValueError("a variable ends too early")
        kind, count = struct.unpack_from(f"{self._order}II", self._data)
        if kind >> 16:  # a small element, stored inside its tag
            kind, count, start, end = kind & 0xFFFF, kind >> 16, 4, 8
        else:
            start, end = 8, 8 + count + -count % 8
        if start + count > len(self._data) or (start == 4 and count > 4):
            raise ValueError("an element is longer than the variable that contains it")
        found, self._data = self._data[start : start + count], self._data[end:]
        return kind, found

    def numbers(self) -> NDArray[Any]:
        """Read the next element as numbers."""
        kind, raw = self.next()
        if kind not in STORAGE:
            raise ValueError(f"an element has type {kind} where numbers are expected")
        return np.frombuffer(raw, self._order + STORAGE[kind])

    def matrix(self, depth: int) -> Any:
        """Read the next element as a matrix; an empty one gives None."""
        _, raw = self.next()
        return matrix_value(raw, self._order, depth) if raw else None
