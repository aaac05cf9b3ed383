"""MetaImage files (``.mha``, ``.mhd`` with its raw file), read with SimpleITK.

Lengths are in mm, ITK's convention. ITK fills in a spacing of 1 where the header has none,
so the header is looked at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.reading.content import Content, Reader, Variable, full_scale, needs

__all__ = ["READER", "MetaImageArray"]

_TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4",
    "LONG": "i4", "ULONG": "u4", "LONG_LONG": "i8", "ULONG_LONG": "u8",
    "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class MetaImageArray:
    """An image, axes as NumPy sees them (ITK's reversed); implements `StoredArray`."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        return self.path

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with needs("SimpleITK", "MetaImage"):
            import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        reader.SetFileName(self.path)
        first, size = [0] * len(self.shape), list(self.shape[::-1])
        if axis is not None:
            itk = len(self.shape) - 1 - axis
            first[itk], size[itk] = start, stop - start
        reader.SetExtractIndex(first)
        reader.SetExtractSize(size)
        # The view does not keep the image alive; this name does.
        image = reader.Execute()
        out[...] = sitk.GetArrayViewFromImage(image)


def _header(path: Path) -> dict[str, str]:
    """The header's fields; it ends at ElementDataFile."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for _ in range(200):
            line = file.readline(4096).decode("latin-1")
            key, equals, value = line.partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return fields
    raise InputError(path, "is MetaImage without ElementDataFile in its header", "Copy it again.")


def _sniff(path: Path, head: bytes) -> bool:
    return b"NDims" in head[:1024] and b"=" in head[:64] and head[:1].isalpha()


def _variable(path: Path, fields: dict[str, str]) -> Variable:
    kind = _TYPES.get(fields.get("ElementType", "").removeprefix("MET_"))
    if kind is None or int(fields.get("ElementNumberOfChannels", "1")) != 1:
        raise InputError(
            path,
            f"holds {fields.get('ElementType', 'no element type')} with "
            f"{fields.get('ElementNumberOfChannels', '1')} channels",
            "Save one number a voxel.",
        )
    shape = tuple(int(n) for n in fields["DimSize"].split())[::-1]
    return Variable(path.stem, shape, np.dtype(kind))


def _list(path: Path) -> tuple[Variable, ...]:
    return (_variable(path, _header(path)),)


def _open(path: Path, variable: str | None) -> Content:
    with needs("SimpleITK", "MetaImage"):
        import SimpleITK as sitk
    fields = _header(path)
    found = _variable(path, fields)
    if variable not in (None, found.name):
        raise InputError(path, f"has no array '{variable}' (it holds {found})", "Leave it out.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    axes = {4: "tzyx", 3: "tzx"}.get(len(found.shape))
    said = f"The axes are not named; its dimensions, last first, were taken as {axes}."
    written = fields.get("ElementSpacing", fields.get("ElementSize"))
    spacing_um = first_um = None
    if written is not None:
        spacing_um = tuple(float(v) * 1e3 for v in reversed(written.split()))
        first_um = tuple(v * 1e3 for v in reversed(reader.GetOrigin()))
    return Content(
        arrays=(MetaImageArray(str(path), found.shape, found.dtype),),
        variable=found.name,
        why="the only array",
        axes=axes,
        axes_note=said if axes else "",
        spacing_um=spacing_um,
        first_um=first_um,
        variables=(found,),
        notes=("The spacing was taken as mm, ITK's convention.",) if spacing_um else (),
        metadata={k: v for k, v in fields.items() if k not in ("ElementDataFile", "Comment")},
        full_scale=full_scale(found.dtype),
    )


READER = Reader("MetaImage", (".mha", ".mhd"), _sniff, _open, _list)
