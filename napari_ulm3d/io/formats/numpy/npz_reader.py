"""NumPy ``.npz`` archives, read front to back, loading only what is requested."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.formats.numpy.header import npy_content, read_header
from napari_ulm3d.io.stored.choosing import choose_variable
from napari_ulm3d.io.stored.content import Content, FileArray, Reader, StoredArray, Variable
from napari_ulm3d.io.stored.pairs import PairedArray, number_type, with_pairs
from napari_ulm3d.io.stored.streams import ByteStream, FileBytes, InflatedBytes, fill_from_stream

__all__ = ["READER", "NpzArray"]

_SMALL_BYTES = 1 << 16


@dataclass(frozen=True)
class NpzArray(FileArray):
    """An array in an ``.npz`` archive; implements `StoredArray`."""

    key: str

    @property
    def name(self) -> str:
        return f"{self.path} ({self.key})"

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with zipfile.ZipFile(self.path) as archive:
            member = archive.getinfo(f"{self.key}.npy")
            with archive.open(member) as head:
                shape, fortran, dtype = read_header(head)
                header_bytes = head.tell()
        if fortran:
            shape, out = shape[::-1], out.T
            axis = None if axis is None else len(shape) - 1 - axis
        with open(self.path, "rb") as file:
            stream = _member_stream(file, member)
            stream.skip(header_bytes)
            fill_from_stream(stream, dtype, shape, out, axis, start, stop)


def _member_stream(file: IO[bytes], member: zipfile.ZipInfo) -> ByteStream:
    """The member's bytes; unlike `ZipExtFile`, skips frames without storing them."""
    file.seek(member.header_offset + 26)
    # The local header repeats the name; its extra fields may differ from the directory's.
    name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
    file.seek(name_bytes + extra_bytes, 1)
    if member.compress_type == zipfile.ZIP_STORED:
        return FileBytes(file)
    if member.compress_type == zipfile.ZIP_DEFLATED:
        return InflatedBytes(file, raw=True)
    raise ValueError("its compression is not the one NumPy uses")


def _npz_variables(path: Path) -> tuple[Variable, ...]:
    found = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    shape, _, dtype = read_header(file)
                found.append(Variable(member.removesuffix(".npy"), shape, number_type(dtype)))
    return tuple(found)


def _open_npz(path: Path, variable: str | None) -> Content:
    variables = _npz_variables(path)
    candidates, pairs = with_pairs(variables, variable)
    chosen, why = choose_variable(path, candidates, variable)
    array: StoredArray
    if chosen.name in pairs:
        real, imag = (NpzArray(str(path), v.shape, v.dtype, v.name) for v in pairs[chosen.name])
        array = PairedArray(real, imag)
    else:
        array = NpzArray(str(path), chosen.shape, chosen.dtype, chosen.name)
    values: dict[str, Any] = {}
    with np.load(path, allow_pickle=False) as archive:
        for v in variables:
            if v.size * v.dtype.itemsize <= _SMALL_BYTES and v.dtype.kind in "biufSU":
                values[v.name] = archive[v.name]
    return npy_content(array, chosen, why, variables, values)


def _is_npz(path: Path, head: bytes) -> bool:
    if head[:2] != b"PK":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False  # another kind of archive, or a truncated one


READER = Reader("NumPy .npz", (".npz",), _is_npz, _open_npz, _npz_variables)
