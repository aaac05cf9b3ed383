"""TIFF stacks: OME-TIFF, ImageJ hyperstacks, and plain TIFF, with one page per plane.

The last two axes of a page are rows and columns. In a 2-D movie, rows are depth, so TIFF's
Y becomes z; in a 3-D movie, Z, Y, X keep their names. Two channels may be I and Q.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.formats.tiff.described import (
    Described,
    described_by_imagej,
    described_by_ome,
    described_by_tags,
)
from napari_ulm3d.io.formats.tiff.pages import keep_index, page_index
from napari_ulm3d.io.formats.tiff.safety import opened_tiff, refuse_bomb, refuse_missing_codec
from napari_ulm3d.io.stored.axes import Layout
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
from napari_ulm3d.io.stored.scaled import ScaledArray

if TYPE_CHECKING:
    import tifffile

__all__ = ["READER", "TiffArray"]


@dataclass(frozen=True)
class TiffArray(FileArray):
    """A series in a TIFF file; implements `StoredArray`. Reads only the pages it needs."""

    series: int

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        index = page_index(self.path, self.series)
        if index.data_offset is not None:
            out[...] = index.values(self.shape)[stretch(len(self.shape), axis, start, stop)]
            return
        n_outer = len(self.shape) - 2
        if axis is None or axis >= n_outer or len(index.offsets) != prod(self.shape[:-2]):
            self._read_whole(out, axis, start, stop)
            return
        positions = list(np.ndindex(*out.shape[:-2]))
        stored = [
            tuple(p + start if i == axis else p for i, p in enumerate(position))
            for position in positions
        ]
        planes = [int(np.ravel_multi_index(each, self.shape[:-2])) for each in stored]
        for position, (name, page) in zip(positions, index.pages(planes), strict=True):
            if prod(page.shape) != prod(self.shape[-2:]):
                raise ValueError(f"page {page.index} has the shape {page.shape}")
            refuse_bomb(name, page)
            out[position] = page.asarray()

    def _read_whole(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Read everything if each plane contains all times, or pages are not planes."""
        with opened_tiff(self.path) as file:
            series = file.series[self.series]
            for page in series.pages:
                refuse_bomb(self.path, page)
            whole = series.asarray()
        out[...] = whole.reshape(self.shape)[stretch(len(self.shape), axis, start, stop)]


def _sniff(path: Path, head: bytes) -> bool:
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _list(path: Path) -> tuple[Variable, ...]:
    with opened_tiff(path) as file:
        return _variables(file)


def _variables(file: tifffile.TiffFile) -> tuple[Variable, ...]:
    return tuple(
        Variable(series.name or f"series {i}", tuple(series.shape), series.dtype)
        for i, series in enumerate(file.series)
        if series.dtype is not None
    )


def _open(path: Path, variable: str | None) -> Content:
    with opened_tiff(path) as file:
        variables = _variables(file)
        if not variables:
            raise InputError(path, "contains no image", "Save the frames as a TIFF stack.")
        index = _choose(path, variables, variable)
        series = file.series[index]
        refuse_missing_codec(path, series.keyframe)
        keep_index(str(path), index, series)
        shape, letters = tuple(series.shape), series.axes.upper()
        dtype = np.dtype(series.dtype)
        array: StoredArray = TiffArray(str(path), shape, dtype, index)
        said = Described()
        if file.is_ome and file.ome_metadata:
            said = described_by_ome(file.ome_metadata, index)
        elif file.is_imagej and file.imagej_metadata:
            said = described_by_imagej(path, file, dtype)
        else:
            said = described_by_tags(series.keyframe)
    if len(variables) > 1 and variable is None:
        others = "; ".join(str(v) for i, v in enumerate(variables[:12]) if i != index)
        said = replace(
            said,
            notes=(*said.notes, f"Other images in the file were not read: {others}."),
        )
    white = full_scale(dtype)
    if said.calibration:
        array = scaled = ScaledArray(array, said.calibration)
        white = None if white is None else scaled.value(white)
    names, note = _names(letters, shape)
    layout = read_layout(array, names, labels=said.channels, said=note)
    if "S" in letters and dtype.kind == "u" and shape[letters.index("S")] > 2:
        layout = Layout(
            None, problem="is a colour movie", remedy="Convert it to grey values first."
        )
    return Content(
        arrays=(array,),
        variable=variables[index].name,
        why="named in the settings" if variable else "the first image series",
        layout=layout,
        facts=Facts(rate_hz=said.rate_hz),
        spacing_um=tuple(said.size_um.get(letter) for letter in letters),
        variables=variables,
        notes=said.notes,
        metadata=said.metadata,
        full_scale=white,
    )


def _names(letters: str, shape: tuple[int, ...]) -> tuple[list[str | None], str]:
    """Axis names from TIFF's letters, None for an axis left open by the file, and a note.

    Programs label a plain stack of planes Z or channels by default, so that label is left open.
    """
    outer = "".join(a for a, n in zip(letters, shape, strict=True) if n > 1 and a not in "YX")
    names: list[str | None] = []
    for letter, n in zip(letters, shape, strict=True):
        is_open = outer == "Z" == letter or letter not in "TZCYX" or (letter == "C" and n > 2)
        if letter in "CS" and n == 2:
            names.append("C")
        else:
            names.append(None if is_open and n > 1 else letter)
    if outer not in ("T", "") and len(outer) == 1 and None in names:
        return names, f"The file's axes are {letters}; planes along {outer} were taken as frames."
    return names, f"The file's axes are {letters}."


def _choose(path: Path, variables: tuple[Variable, ...], wanted: str | None) -> int:
    if wanted is None:
        return max(range(len(variables)), key=lambda i: (variables[i].size, -i))
    for i, variable in enumerate(variables):
        if wanted in (variable.name, str(i), f"series {i}"):
            return i
    names = ", ".join(v.name for v in variables)
    raise InputError(path, f"has no image series '{wanted}' (it contains {names})", "Name one.")


READER = Reader("TIFF", (".tif", ".tiff", ".btf"), _sniff, _open, _list)
