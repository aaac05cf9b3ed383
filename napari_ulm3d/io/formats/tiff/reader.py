"""TIFF stacks: OME-TIFF, ImageJ hyperstacks, and plain ones; a page is a plane.

The last two axes of a page are rows and columns. In a 2-D movie rows are depth, so TIFF's
Y becomes z; in a 3-D one Z, Y, X keep their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.tiff.safety import opened_tiff, refuse_bomb, refuse_missing_codec
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    Variable,
    full_scale,
    stretch,
)
from napari_ulm3d.io.stored.facts import Facts, to_um

__all__ = ["READER", "TiffArray"]

_Sizes = dict[str, float | None]

_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "min": 60.0}


@dataclass(frozen=True)
class TiffArray(FileArray):
    """A series of a TIFF file; implements `StoredArray`. Reads the pages it needs."""

    series: int

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        with opened_tiff(self.path) as file:
            series = file.series[self.series]
            n_outer = len(self.shape) - 2
            if axis is None or axis >= n_outer or len(series.pages) != np.prod(self.shape[:-2]):
                # Planes hold all of time, or the file is one block of bytes without pages.
                for page in series.pages:
                    refuse_bomb(self.path, page)
                whole = series.asarray(out="memmap" if series.dataoffset is not None else None)
                out[...] = whole.reshape(self.shape)[stretch(len(self.shape), axis, start, stop)]
                return
            for position in np.ndindex(*out.shape[:-2]):
                stored = tuple(p + start if i == axis else p for i, p in enumerate(position))
                page = series.pages[int(np.ravel_multi_index(stored, self.shape[:-2]))]
                if page is None:
                    raise ValueError(f"plane {stored} is missing")
                if prod(page.shape) != prod(self.shape[-2:]):
                    raise ValueError(f"plane {stored} has the shape {page.shape}")
                refuse_bomb(self.path, page)
                out[position] = page.asarray()


def _sniff(path: Path, head: bytes) -> bool:
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _list(path: Path) -> tuple[Variable, ...]:
    with opened_tiff(path) as file:
        return tuple(
            Variable(series.name or f"series {i}", tuple(series.shape), series.dtype)
            for i, series in enumerate(file.series)
            if series.dtype is not None
        )


def _open(path: Path, variable: str | None) -> Content:
    variables = _list(path)
    with opened_tiff(path) as file:
        if not variables:
            raise InputError(path, "holds no image", "Save frames as a TIFF stack.")
        index = _choose(path, variables, variable)
        series = file.series[index]
        refuse_missing_codec(path, series.keyframe)
        shape, letters = tuple(series.shape), series.axes.upper()
        dtype = np.dtype(series.dtype)
        axes, said = _axes(path, letters, shape)
        size: _Sizes = {}
        rate: float | None = None
        metadata: dict[str, Any] = {}
        if file.is_ome and file.ome_metadata:
            size, rate, metadata = _ome(file.ome_metadata, index)
        elif file.is_imagej and file.imagej_metadata:
            size, rate, metadata = _imagej(file)
    return Content(
        arrays=(TiffArray(str(path), shape, dtype, index),),
        variable=variables[index].name,
        why="named in the settings" if variable else "the first image series",
        axes=axes,
        axes_note=said,
        facts=Facts(rate_hz=rate),
        spacing_um=tuple(size.get(letter) for letter in letters),
        variables=variables,
        metadata=metadata,
        full_scale=full_scale(dtype),
    )


def _choose(path: Path, variables: tuple[Variable, ...], wanted: str | None) -> int:
    if wanted is None:
        return max(range(len(variables)), key=lambda i: (variables[i].size, -i))
    for i, variable in enumerate(variables):
        if wanted in (variable.name, str(i), f"series {i}"):
            return i
    names = ", ".join(v.name for v in variables)
    raise InputError(path, f"has no image series '{wanted}' (it holds {names})", "Name one.")


def _axes(path: Path, letters: str, shape: tuple[int, ...]) -> tuple[str, str]:
    """Our letters for TIFF's, and a sentence that says so."""
    if "S" in letters:
        raise InputError(path, "is a colour movie", "Convert it to grey values first.")
    if not {"Y", "X"} <= set(letters):
        raise InputError(path, f"has the axes {letters}, without Y and X", "Save planes in Y, X.")
    outer = {
        letter: n for letter, n in zip(letters, shape, strict=True) if n > 1 and letter not in "YX"
    }
    if outer.get("C", 1) == 2 and len(outer) < 3 and "T" in outer:
        raise InputError(
            path,
            "has two channels",
            "If they are real and imaginary part, say so with --axes and a letter c.",
        )
    unknown = [letter for letter in outer if letter not in "TZ"]
    names: dict[str, str]
    if len(outer) > 2 or len(unknown) > 1 or (unknown and "T" in outer and "Z" in outer):
        raise InputError(
            path, f"has the axes {letters} of {shape}", "Keep time, depth and one plane only."
        )
    if len(outer) == 2:
        names = {"Z": "z", "Y": "y", "X": "x", "T": "t"}
        # An axis that is not named takes the place that is left.
        names |= {unknown[0]: "z" if "T" in outer else "t"} if unknown else {}
        said = "Its Z, Y, X were taken as z (depth), y, x."
    else:
        only = next(iter(outer), "T")
        names = {only: "t", "Y": "z", "X": "x"}
        said = "It is a 2-D movie: rows were taken as z (depth), columns as x."
        if only != "T":
            said = f"Its planes along {only} were taken as frames, rows as z (depth), columns as x."
    return "".join(names.get(letter, "_") if n > 1 or letter in "YX" else "_"
                   for letter, n in zip(letters, shape, strict=True)), said  # fmt: skip


def _ome(xml: str, index: int) -> tuple[_Sizes, float | None, dict[str, Any]]:
    """Physical sizes and time increment of OME-XML (units default to um and s)."""
    images = [e for e in ElementTree.fromstring(xml).iter() if e.tag.endswith("}Image")]
    image = images[index if index < len(images) else 0]
    pixels = next((e for e in image if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return {}, None, {}
    size: _Sizes = {}
    for letter in "ZYX":
        value = _positive(pixels.get(f"PhysicalSize{letter}"))
        unit = to_um(pixels.get(f"PhysicalSize{letter}Unit", "um"))
        size[letter] = value * unit if value and unit else None
    rate = None
    increment = _positive(pixels.get("TimeIncrement"))
    seconds = _SECONDS.get(pixels.get("TimeIncrementUnit", "s"))
    if increment and seconds:
        rate = 1 / (increment * seconds)
    metadata = {"ome_name": image.get("Name")} if image.get("Name") else {}
    return size, rate, metadata


def _imagej(file: Any) -> tuple[_Sizes, float | None, dict[str, Any]]:
    """ImageJ's unit, spacing, resolution tags (pixels a unit) and frame interval."""
    info = file.imagej_metadata
    unit = to_um(str(info.get("unit", "")))
    size: _Sizes = {}
    if unit:
        tags = file.pages[0].tags
        for letter in "YX":
            tag = tags.get(f"{letter}Resolution")
            if tag is not None and tag.value[0] > 0:
                size[letter] = unit * tag.value[1] / tag.value[0]
        spacing = _positive(info.get("spacing"))
        size["Z"] = spacing * unit if spacing else None
    interval, fps = _positive(info.get("finterval")), _positive(info.get("fps"))
    # fps is the speed of playback where finterval is absent: only the latter is the data's.
    rate = 1 / interval if interval else None
    keep = {k: v for k, v in info.items() if isinstance(v, str | int | float) and len(str(v)) < 200}
    if fps and rate is None:
        keep["playback_fps"] = fps
    return size, rate, keep


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > 0 else None


READER = Reader("TIFF", (".tif", ".tiff", ".btf"), _sniff, _open, _list)
