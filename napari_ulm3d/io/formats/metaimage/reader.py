"""MetaImage files (``.mha``, ``.mhd`` with its raw file), the format of ITK.

The header is text, one field per line, and ends at ``ElementDataFile``. The values follow it or
are in one or more files beside it, uncompressed or as one zlib stream (Kitware's "MetaIO"
manual). Lengths are in mm by ITK's convention. ITK assumes a spacing of 1 if the header gives
none; here the user is asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.facts.units import to_um
from napari_ulm3d.io.formats.metaimage.header import (
    data_file,
    data_files,
    intensity,
    is_turned,
    numbers,
    read_header,
    sequence_rate,
)
from napari_ulm3d.io.formats.metaimage.parts import MetaImageParts
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    StoredArray,
    Variable,
    full_scale,
    only_array,
)
from napari_ulm3d.io.stored.layout import C_ORDER, read_layout
from napari_ulm3d.io.stored.limits import refuse_cut_short
from napari_ulm3d.io.stored.scaled import ScaledArray
from napari_ulm3d.io.stored.streams import FileBytes, InflatedBytes, fill_from_stream

__all__ = ["READER", "MetaImageArray"]

_TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4",
    "LONG": "i4", "ULONG": "u4", "LONG_LONG": "i8", "ULONG_LONG": "u8",
    "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip

_NOT_KEPT = ("ElementDataFile", "Comment")
_ORIGINS = ("Offset", "Origin", "Position")


@dataclass(frozen=True)
class MetaImageArray(FileArray):
    """An image, the slowest axis first; implements `StoredArray`.

    `data` is the file that contains the values, from byte `offset`.
    """

    data: str
    offset: int
    compressed: bool

    @property
    def holder(self) -> Path:
        return Path(self.data)

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with open(self.data, "rb") as file:
            file.seek(self.offset)
            stream = InflatedBytes(file) if self.compressed else FileBytes(file)
            fill_from_stream(stream, self.dtype, self.shape, out, axis, start, stop)


def _sniff(path: Path, head: bytes) -> bool:
    return b"NDims" in head[:1024] and b"=" in head[:64] and head[:1].isalpha()


def _is(fields: dict[str, str], *names: str) -> bool:
    return any(fields.get(name, "").lower() in ("true", "1") for name in names)


def _variable(path: Path, fields: dict[str, str]) -> Variable:
    kind = _TYPES.get(fields.get("ElementType", "").removeprefix("MET_"))
    channels = fields.get("ElementNumberOfChannels", "1")
    if kind is None or channels not in ("1", "2"):
        raise InputError(
            path,
            f"contains {fields.get('ElementType', 'no element type')} with {channels} channels",
            "Save one number per voxel, or two (I and Q).",
        )
    big = _is(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    shape = tuple(int(n) for n in fields["DimSize"].split())[::-1]
    if len(shape) != int(fields["NDims"]) or min(shape) < 1:
        raise InputError(
            path,
            f"has NDims = {fields['NDims']} and DimSize = {fields['DimSize']}",
            "Correct its header.",
        )
    if channels == "2":
        shape = (*shape, 2)
    return Variable(path.stem, shape, np.dtype(kind).newbyteorder(">" if big else "<"))


def _list(path: Path) -> tuple[Variable, ...]:
    return (_variable(path, read_header(path)[0]),)


def _open(path: Path, variable: str | None) -> Content:
    fields, header_bytes = read_header(path)
    found = _variable(path, fields)
    only_array(path, found, variable)
    n = int(fields["NDims"])
    array, data = _stored(path, fields, header_bytes, found)
    names = [None] * n + ["channel"] if len(found.shape) > n else None
    said = f"The axes are not named; the dimensions, last first, were taken as {C_ORDER.get(n)}."
    unit, of_unit = _unit(path, fields)
    spacing_um = _lengths(path, fields, n, unit, "ElementSpacing", "ElementSize")
    first_um = _lengths(path, fields, n, unit, *_ORIGINS) if spacing_um else None
    notes: list[str] = [of_unit] if spacing_um else []
    if is_turned(path, fields, n):
        first_um = None
        notes.append(
            "The TransformMatrix was not applied: the voxels keep their stored order, and "
            "positions count from the first voxel."
        )
    line = intensity(path, fields)
    stored: StoredArray = array
    white = full_scale(found.dtype)
    if line != (0.0, 1.0):
        stored = scaled = ScaledArray(array, line)
        white = None if white is None else scaled.value(white)
        notes.append(
            f"The ElementToIntensityFunction was applied: {line[1]:g} * value + {line[0]:g}."
        )
    rate = sequence_rate(fields, notes)
    return Content(
        arrays=(stored,),
        variable=found.name,
        why="the only array",
        layout=read_layout(array, names, said=said),
        spacing_um=spacing_um and (*spacing_um, None)[: len(found.shape)],
        first_um=first_um and (*first_um, None)[: len(found.shape)],
        variables=(found,),
        facts=Facts(rate_hz=rate),
        notes=tuple(notes),
        metadata={k: v for k, v in fields.items() if k not in _NOT_KEPT and k[:9] != "Seq_Frame"},
        full_scale=white,
        data_files=data,
    )


def _stored(
    path: Path, fields: dict[str, str], header_bytes: int, found: Variable
) -> tuple[MetaImageArray | MetaImageParts, tuple[Path, ...]]:
    """The values, and the files other than the header that contain them."""
    if fields.get("BinaryData", "True").lower() not in ("true", "1"):
        raise InputError(path, "stores its values as text", "Save them as binary.")
    compressed = _is(fields, "CompressedData")
    axes, parts = data_files(path, fields, header_bytes)
    n = int(fields["NDims"])
    if not parts:
        data = data_file(path, fields)
        offset = header_bytes if data == path else _offset(path, fields, data, found.shape, found)
        if not compressed:
            refuse_cut_short(path, offset + found.size * found.dtype.itemsize, data.stat().st_size)
        array = MetaImageArray(str(path), found.shape, found.dtype, str(data), offset, compressed)
        return array, () if data == path else (data,)
    leading = max(0, n - (n - 1 if axes is None else axes))
    count = prod(found.shape[:leading])
    if compressed or count != len(parts):
        problem = "is compressed in" if compressed else f"has {count} pieces but names"
        raise InputError(
            path,
            f"{problem} {len(parts)} data files",
            "Save it as one .mha file, in Python: "
            "SimpleITK.WriteImage(SimpleITK.ReadImage('IN.mhd'), 'OUT.mha')",
        )
    offset = _offset(path, fields, parts[0], found.shape[leading:], found)
    names = tuple(map(str, parts))
    return MetaImageParts(str(path), found.shape, found.dtype, names, offset, leading), parts


def _offset(
    path: Path, fields: dict[str, str], data: Path, shape: tuple[int, ...], found: Variable
) -> int:
    """Byte at which the values begin in a data file."""
    skipped = int(fields.get("HeaderSize", "0"))
    if skipped == -1:  # the values are at the end of the file, whatever precedes them
        skipped = data.stat().st_size - prod(shape) * found.dtype.itemsize
    if skipped < 0:
        raise InputError(
            path,
            f"is longer than {data.name}, which contains its values",
            "Copy it again from the original.",
        )
    return skipped


def _unit(path: Path, fields: dict[str, str]) -> tuple[float, str]:
    """Micrometres in the header's unit of length, with a note."""
    named = fields.get("DistanceUnits", "").strip("?")
    if not named:
        return 1e3, "The spacing was taken to be in mm, the convention of ITK."
    unit = to_um(named)
    if unit is None:
        raise InputError(
            path,
            f"has DistanceUnits = {named}, which is not a unit of length",
            "Write um, mm or cm in its header.",
        )
    return unit, f"The spacing is in {named}, as the header's DistanceUnits states."


def _lengths(
    path: Path, fields: dict[str, str], n: int, unit: float, *names: str
) -> tuple[float, ...] | None:
    """Lengths along the axes, micrometres, from the first of the names that is present."""
    for name in names:
        if name in fields:
            values = [v * unit for v in reversed(numbers(path, fields, name, n))]
            return tuple(float(f"{v:.12g}") for v in values)
    return None


READER = Reader("MetaImage", (".mha", ".mhd"), _sniff, _open, _list)
