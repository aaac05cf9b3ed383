"""Open one file, or the two files of real and imaginary part together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts, Partial
from napari_ulm3d.io.formats.registry import reader_for
from napari_ulm3d.io.open.frames import StoredFrames
from napari_ulm3d.io.stored.axes import fit_axes
from napari_ulm3d.io.stored.choosing import is_movie
from napari_ulm3d.io.stored.content import Content, readable
from napari_ulm3d.io.stored.limits import check_claim, stored_bytes
from napari_ulm3d.io.stored.pairs import PairedArray, half_of, name_pairs

__all__ = ["Opened", "has_negative", "in_pairs", "open_file", "open_unit"]


@dataclass(frozen=True)
class Opened:
    """An opened file (or two halves of one): content, facts and frames."""

    path: Path
    content: Content
    facts: Facts
    sources: tuple[StoredFrames, ...]


def in_pairs(files: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Group files whose names differ only in real and imag, or I and Q, into pairs."""
    by_name = {str(path): path for path in files}
    partner = {by_name[one]: by_name[other] for one, other in name_pairs(by_name)}
    seconds = set(partner.values())
    # A pair takes the place of its first file.
    order: list[tuple[Path, ...]] = []
    for path in files:
        if path in seconds:
            first = next(one for one, other in partner.items() if other == path)
            pair = (first, path)
        elif path in partner:
            pair = (path, partner[path])
        else:
            order.append((path,))
            continue
        if pair not in order:
            order.append(pair)
    return order


def open_unit(unit: tuple[Path, ...], config: LoadConfig) -> Opened:
    """Open a file, or two files that are its real and imaginary part.

    Raises
    ------
    InputError
        It is one half of complex data, or the two halves do not fit together.
    """
    opened = [open_file(path, config) for path in unit]
    if len(opened) == 1:
        _refuse_lone_half(opened[0], config)
        return opened[0]
    real, imag = opened
    for half in opened:
        if half.sources[0].dtype.kind == "c":
            raise InputError(
                half.path,
                f"contains complex numbers, but by its name it is half of {unit[0].name} and "
                f"{unit[1].name}",
                "Open the files one at a time, or rename them.",
            )
    shapes = [[source.stored.shape for source in half.sources] for half in opened]
    if shapes[0] != shapes[1] or real.sources[0].axes != imag.sources[0].axes:
        raise InputError(
            imag.path,
            f"contains {shapes[1][0]}, but {unit[0].name}, the real part by its name, "
            f"contains {shapes[0][0]}",
            "Name the two halves of the same recording.",
        )
    sources = tuple(
        replace(
            one,
            stored=PairedArray(one.stored, two.stored),
            data_files=(*one.data_files, imag.path, *two.data_files),
        )
        for one, two in zip(real.sources, imag.sources, strict=True)
    )
    note = f"{unit[0].name} was taken as the real part and {unit[1].name} as the imaginary part."
    content = replace(real.content, notes=(note, *real.content.notes))
    return Opened(real.path, content, real.facts, sources)


def _refuse_lone_half(file: Opened, config: LoadConfig) -> None:
    """Refuse a file or array named as one half of IQ whose values are signed (not an envelope)."""
    if config.variable is not None or not has_negative(file.sources[0]):
        return
    variable = file.content.variable
    stem = file.path.name.partition(".")[0]
    for name in (variable.replace("/", ".").rpartition(".")[2], stem):
        half = half_of(name)
        if half is None:
            continue
        which, other = half
        whole = f"if it is complete, give --variable '{variable}'."
        beside = file.path.with_name(file.path.name.replace(name, other, 1))
        if name == stem and beside.exists():
            remedy = f"Name {beside.name} as well; {whole}"
        else:
            remedy = f"Put the other part, {other}, beside it and open both; {whole}"
        raise InputError(
            file.path,
            f"contains {name}; by its name, this is only the {which} part of complex IQ",
            remedy,
        )


def open_file(path: Path, config: LoadConfig) -> Opened:
    reader = reader_for(path)
    with readable(path, reader.name):
        content = reader.open(path, config.variable)
        stored = sum(stored_bytes(file) for file in (path, *content.data_files))
    letters = config.axes or content.layout.letters
    sources = []
    for array in content.arrays:
        check_claim(path, array.name, array.shape, array.dtype, stored)
        if array.dtype.kind not in "iufc" or min(array.shape, default=0) < 1:
            raise InputError(
                array.name,
                f"contains {array.dtype} of shape {array.shape}, not frames",
                "Name another array with --variable."
                if any(is_movie(v) for v in content.variables if v.name != content.variable)
                else "Save the frames as one array of numbers.",
            )
        if letters is None:
            raise InputError(array.name, content.layout.problem, content.layout.remedy)
        axes = fit_axes(letters, array.shape, array.name)
        if "c" in axes and array.dtype.kind == "c":
            raise InputError(
                array.name,
                "is complex and cannot have an axis c of real and imaginary parts",
                "Leave c out of --axes.",
            )
        sources.append(
            StoredFrames(array, axes, str(path), reader.name, data_files=content.data_files)
        )
    facts = content.facts if config.axes else _as_taken(content)
    if content.spacing_um is not None and any(content.spacing_um):
        facts = replace(facts, voxel_um=_by_letter(content.spacing_um, axes))
    if content.first_um is not None:
        facts = replace(facts, origin_um=_by_letter(content.first_um, axes))
    return Opened(path, content, facts, tuple(sources))


def _as_taken(content: Content) -> Facts:
    """Facts of the file, with y and z exchanged if rows called y are depth in a 2-D movie."""
    facts, layout = content.facts, content.layout
    if not any(
        a == "y" and b == "z" for a, b in zip(layout.names, layout.letters or "", strict=False)
    ):
        return facts
    turned: dict[str, Any] = {}
    for field in ("voxel_um", "voxel_wavelengths", "origin_um", "origin_wavelengths"):
        if (values := getattr(facts, field)) is not None:
            turned[field] = (values[1], values[0], values[2])
    return replace(facts, **turned)


def _by_letter(values: Sequence[float | None], axes: str) -> Partial:
    by_letter = dict(zip(axes, values, strict=True))
    return (by_letter.get("z"), by_letter.get("y"), by_letter.get("x"))


def has_negative(source: StoredFrames) -> bool:
    """Whether the first frame of real data has negative values, which an envelope cannot have."""
    if source.dtype.kind == "c" or source.stored.dtype.kind == "u":
        return False
    return bool((source.read(0, 1) < 0).any())
