"""Open the files of one acquisition together: their frames and combined facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path

from napari_ulm3d.acquisition import FrameSource
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts, Resolved, facts_of, merge_facts, resolve_facts
from napari_ulm3d.io.facts.sidecar import SIDECAR_NAME, read_sidecar
from napari_ulm3d.io.open.frames import DamagedFrames, JoinedFrames, log_scale
from napari_ulm3d.io.open.opening import Opened, has_negative, in_pairs, open_unit
from napari_ulm3d.io.open.ordering import by_place, refuse_copies
from napari_ulm3d.io.open.planes import (
    NamedPlanes,
    StackedPlanes,
    named_planes,
    positioned_planes,
)
from napari_ulm3d.io.stored.content import Content

__all__ = ["Loaded", "load_files"]


@dataclass(frozen=True)
class Loaded:
    """All files together; `content`, `facts` and `axes` are those of the first file."""

    content: Content
    axes: str
    resolved: Resolved
    sources: tuple[FrameSource, ...]
    notes: tuple[str, ...]
    facts: Facts


def _with_sidecar(first: Path, config: LoadConfig) -> tuple[LoadConfig, Facts, tuple[str, ...]]:
    """Settings completed from the sidecar, the facts from both, and a note."""
    folder = first.parent
    if not (folder / SIDECAR_NAME).is_file():
        return config, facts_of(config), ()
    facts, settings = read_sidecar(folder)
    by_hand = {name for name in config.model_fields_set if getattr(config, name) is not None}
    config = config.replace(**{k: v for k, v in settings.items() if k not in by_hand})
    note = f"{SIDECAR_NAME} beside the data was used."
    return config, merge_facts(facts, facts_of(config)), (note,)


def load_files(files: Sequence[Path], config: LoadConfig, keep_damaged: bool = False) -> Loaded:
    """Open all files, and combine the facts from files, sidecar and settings.

    Parameters
    ----------
    files
        Files of one acquisition, in temporal order.
    config
        Reading options, and facts that the files lack.
    keep_damaged
        As in `open_acquisition`.

    Raises
    ------
    InputError
        A file is missing, damaged, of no known format, or unlike the others.
    """
    config, given, said = _with_sidecar(files[0], config)
    refuse_copies(files)
    units = in_pairs(files)
    opened, damaged = _open_all(units, config, given, keep_damaged)
    ordered = ""
    if not damaged:
        opened, ordered = by_place(opened)
    first = opened[0]
    if config.axes is None and len(opened) == 1:
        _ask_of_a_stack(first)
    planes = _planes_of(opened, units, config) if not damaged else None
    found = planes.facts(first.facts) if planes else first.facts
    flat = first.sources[0].shape[2] == 1 and planes is None
    resolved = resolve_facts(merge_facts(found, given), flat)
    axes = f"The axes are {config.axes}, as given." if config.axes else first.content.layout.note
    axes = axes if planes is None else planes.note
    notes = [*said, axes, *first.content.notes, ordered, *resolved.notes]
    stored = [source for each in opened for source in each.sources]
    if config.log_compressed_db is not None:
        scale, note = log_scale(stored[0], config.log_compressed_db, first.content.full_scale)
        stored = [replace(source, log=scale) for source in stored]
        notes.append(note)
    elif has_negative(stored[0]):
        notes.append(
            "The values are real and some are negative, but they are treated as an envelope; "
            "demodulate RF data to IQ first."
        )
    sources: tuple[FrameSource, ...] = tuple(stored)
    if planes is not None:
        sources = (
            StackedPlanes(
                tuple(tuple(stored[k] for k in row) for row in planes.order), planes.axis
            ),
        )
    elif damaged:
        sources = _with_damaged(units, opened, damaged, sources)
        notes += [str(error) for error in damaged.values()]
    elif len(stored) > 1 and all(source.shape[0] == 1 for source in stored):
        sources = (JoinedFrames(tuple(stored)),)
        notes.append(f"The {len(stored)} files contain one frame each and are read as one series.")
    return Loaded(
        first.content,
        stored[0].axes if planes is None else "tzyx",
        resolved,
        sources,
        tuple(note for note in notes if note),
        found,
    )


def _planes_of(
    opened: Sequence[Opened], units: Sequence[tuple[Path, ...]], config: LoadConfig
) -> NamedPlanes | None:
    """Planes by position or by name, if each file contains one and nobody gives other axes."""
    plain = all(
        len(file.sources) == 1 and file.sources[0].shape[0] == file.sources[0].shape[2] == 1
        for file in opened
    )
    if not plain or config.axes is not None or len(opened) < 2:
        return None
    places = [file.content.position_mm for file in opened if file.content.position_mm is not None]
    if len(places) == len(opened):
        return positioned_planes(places, opened[0].path.parent)
    if any(file.content.place is not None for file in opened):
        return None
    return named_planes([unit[0].name for unit in units])


def _open_all(
    units: Sequence[tuple[Path, ...]], config: LoadConfig, given: Facts, keep_damaged: bool
) -> tuple[list[Opened], dict[Path, InputError]]:
    """The files that could be opened and are alike, and the errors of the others."""
    opened: list[Opened] = []
    damaged: dict[Path, InputError] = {}
    for unit in units:
        try:
            file = open_unit(unit, config)
            if opened:
                _refuse_unlike(opened[0], file, given)
            opened.append(file)
        except InputError as error:
            if not (keep_damaged and all(path.exists() for path in unit)):
                raise
            damaged[unit[0]] = error
    # Files with one frame each are a series of pictures, without blocks that could be left out.
    if damaged and (len(damaged) >= len(opened) or sum(s.shape[0] for s in opened[0].sources) == 1):
        raise next(iter(damaged.values()))
    return opened, damaged


def _with_damaged(
    units: Sequence[tuple[Path, ...]],
    opened: Sequence[Opened],
    damaged: Mapping[Path, InputError],
    sources: Sequence[FrameSource],
) -> tuple[FrameSource, ...]:
    """Sources of all files, with placeholders for those that could not be opened."""
    first = opened[0]
    shape = (sum(s.shape[0] for s in first.sources), *first.sources[0].shape[1:])
    waiting, following = iter(sources), iter(opened)
    found: list[FrameSource] = []
    for path, *_ in units:
        if path in damaged:
            error = damaged[path]
            found.append(
                DamagedFrames(str(path), shape, first.sources[0].dtype, error.problem, error.remedy)
            )
        else:
            found += islice(waiting, len(next(following).sources))
    return tuple(found)


def _ask_of_a_stack(file: Opened) -> None:
    """Refuse unnamed axes that could be one frame or a movie in a stack of one, with a question."""
    layout = file.content.layout
    if not layout.stack or len(file.sources) > 1:
        return
    _, z, y, x = file.sources[0].shape
    raise InputError(
        file.path,
        f"is either one frame of {z} x {y} x {x} voxels or {z} frames of {y} x {x} pixels",
        f"If it is one frame, give --axes {layout.letters}; if it is a movie, give --axes tzx.",
    )


def _refuse_unlike(first: Opened, other: Opened, given: Facts) -> None:
    """Refuse a file with another spacing, rate or wavelength, unless the settings give it."""
    for field in fields(Facts):
        one, two = getattr(first.facts, field.name), getattr(other.facts, field.name)
        # The origin may differ between files (a moving probe); that of the first file is used.
        if "origin" in field.name or one is None or two is None or getattr(given, field.name):
            continue
        pairs = zip(one, two, strict=True) if isinstance(one, tuple) else [(one, two)]
        if any(a and b and abs(a / b - 1) > 1e-3 for a, b in pairs):
            raise InputError(
                other.path,
                f"states {field.name} {two}, but {first.path.name} states {one}",
                f"Give only files of one acquisition, or set {field.name}.",
            )
    if other.sources[0].shape[1:] != first.sources[0].shape[1:]:
        raise InputError(
            other.path,
            f"has frames of {other.sources[0].shape[1:]} voxels, but {first.path.name} has "
            f"{first.sources[0].shape[1:]}",
            "Give only files of one acquisition.",
        )
    if other.sources[0].dtype != first.sources[0].dtype:
        raise InputError(
            other.path,
            f"contains {other.sources[0].dtype}, but {first.path.name} contains "
            f"{first.sources[0].dtype}",
            "Give only files of one acquisition.",
        )
