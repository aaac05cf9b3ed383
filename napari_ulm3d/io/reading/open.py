"""Opening an acquisition from its files, and saying what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from napari_ulm3d.acquisition import Acquisition, FrameSource, Grid
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.io.reading.axes import fit_axes
from napari_ulm3d.io.reading.content import Content, Variable, readable
from napari_ulm3d.io.reading.files import AnyPath, find_files
from napari_ulm3d.io.reading.frames import DamagedFrames, JoinedFrames, StoredFrames, log_scale
from napari_ulm3d.io.reading.limits import check_claim, stored_bytes
from napari_ulm3d.io.reading.metadata import (
    Facts,
    Partial,
    Resolved,
    facts_of,
    merge_facts,
    missing_error,
    resolve_facts,
)
from napari_ulm3d.io.reading.registry import known_suffixes, reader_for
from napari_ulm3d.io.reading.sidecar import SIDECAR_NAME, read_sidecar

__all__ = ["FileDescription", "describe", "open_acquisition"]


#: Most arrays that a description lists.
_SHOWN = 20


@dataclass(frozen=True)
class FileDescription:
    """What is in a file and how it would be read; everything may be missing but the path.

    `problem` is the sentence that `open_acquisition` would raise, None when it would open.
    """

    path: str
    format: str = ""
    n_files: int = 1
    variables: tuple[Variable, ...] = ()
    variable: str | None = None
    why: str = ""
    axes: str | None = None
    shape: tuple[int, int, int, int] | None = None
    kind: Literal["iq", "envelope"] | None = None
    voxel_um: tuple[float, float, float] | None = None
    origin_um: tuple[float, float, float] | None = None
    rate_hz: float | None = None
    wavelength_um: float | None = None
    frequency_hz: float | None = None
    sound_speed_m_s: float | None = None
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    problem: str | None = None

    def lines(self) -> list[str]:
        """The description for people, a line a fact."""
        many = f" (first of {self.n_files} files)" if self.n_files > 1 else ""
        lines = [f"{self.path}{many}", f"format: {self.format}"]
        shown = [f"  {variable}" for variable in self.variables[:_SHOWN]]
        if len(self.variables) > _SHOWN:
            shown.append(f"  and {len(self.variables) - _SHOWN} more")
        lines += ["arrays:", *shown]
        if self.variable is not None and self.shape is not None:
            lines.append(f"chosen: {self.variable}, {self.why}; stored axes {self.axes}")
            t, z, y, x = self.shape
            lines.append(f"frames: {t} of {z} x {y} x {x} voxels (z, y, x), {self.kind}")
        for label, value, unit in (
            ("voxel spacing z, y, x", self.voxel_um, "um"),
            ("origin z, y, x", self.origin_um, "um"),
            ("frame rate", self.rate_hz, "Hz"),
            ("wavelength", self.wavelength_um, "um"),
            ("frequency", self.frequency_hz, "Hz"),
            ("speed of sound", self.sound_speed_m_s, "m/s"),
        ):
            numbers = value if isinstance(value, tuple) else (value,)
            text = " ".join("not known" if v is None else f"{v:.6g}" for v in numbers)
            lines.append(f"{label}: {text}" + ("" if value is None else f" {unit}"))
        lines += [f"note: {note}" for note in self.notes]
        if self.problem:
            lines.append(f"cannot be opened as it is: {self.problem}")
        return lines


@dataclass(frozen=True)
class _Opened:
    """One file, opened: its content, what it says, and its frames."""

    path: Path
    content: Content
    facts: Facts
    sources: tuple[StoredFrames, ...]


@dataclass(frozen=True)
class _Loaded:
    """All files together; `content` and `axes` are the first file's."""

    content: Content
    axes: str
    resolved: Resolved
    sources: tuple[FrameSource, ...]
    notes: tuple[str, ...]


def open_acquisition(
    paths: AnyPath | Sequence[AnyPath],
    config: LoadConfig | None = None,
    *,
    keep_damaged: bool = False,
) -> Acquisition:
    """Open one acquisition; nothing but headers is read until frames are asked for.

    Parameters
    ----------
    paths
        A file, a folder of files, a pattern (``data/IQ*.mat``), or several of these.
        Several files are consecutive blocks of one acquisition: in the order given when
        named, counted through (IQ2 before IQ10) for a folder or pattern.
    config
        How to read, and what the files do not say. It wins over a sidecar
        ``acquisition.toml`` in the folder, which wins over the files.
    keep_damaged
        Where most files fit together, let those that cannot be opened, or are unlike the
        others, keep their place in time: as many frames as the first, which raise when read.

    Returns
    -------
    Acquisition
        Frames (t, z, y, x), complex64 IQ or float32 envelope; `notes` say what was assumed.

    Raises
    ------
    MissingMetadataError
        When spacing or rate is said by neither.
    InputError
        When a file is missing, damaged, of no known format, or unlike the others.
    BackendError
        When a format needs an optional library that is not installed.
    """
    files = find_files(paths)
    loaded = _load(files, config or LoadConfig(), keep_damaged)
    resolved, sources = loaded.resolved, loaded.sources
    if resolved.missing:
        raise missing_error(str(files[0]), resolved.missing)
    assert resolved.voxel_um is not None
    assert resolved.rate_hz is not None
    try:
        grid = Grid(sources[0].shape[1:], resolved.voxel_um, resolved.origin_um)
    except ValueError as error:
        raise InputError(
            files[0], f"says what cannot be: {error}", "Give --voxel-um and --origin-um."
        ) from error
    return Acquisition(
        sources=sources,
        grid=grid,
        rate_hz=resolved.rate_hz,
        kind="iq" if sources[0].dtype.kind == "c" else "envelope",
        wavelength_um=resolved.wavelength_um,
        frequency_hz=resolved.frequency_hz,
        sound_speed_m_s=resolved.sound_speed_m_s,
        name=_name(files),
        notes=loaded.notes,
        metadata=dict(loaded.content.metadata),
    )


def describe(
    paths: AnyPath | Sequence[AnyPath], config: LoadConfig | None = None
) -> FileDescription:
    """Say what is in a file (or several of one acquisition), complete or not.

    Only a file that cannot be looked at (absent, damaged, of no known format, its library
    missing) is raised; everything else is told in `FileDescription.problem`.
    """
    files = find_files(paths)
    reader = reader_for(files[0])
    with readable(files[0], reader.name):
        variables = reader.list(files[0])
    found = FileDescription(str(files[0]), reader.name, len(files), variables)
    try:
        loaded = _load(files, config or LoadConfig())
    except UlmError as error:
        return replace(found, problem=str(error))
    resolved, source = loaded.resolved, loaded.sources[0]
    _, z, y, x = source.shape
    return replace(
        found,
        variable=loaded.content.variable,
        why=loaded.content.why,
        axes=loaded.axes,
        shape=(sum(s.shape[0] for s in loaded.sources), z, y, x),
        kind="iq" if source.dtype.kind == "c" else "envelope",
        voxel_um=resolved.voxel_um,
        origin_um=resolved.origin_um,
        rate_hz=resolved.rate_hz,
        wavelength_um=resolved.wavelength_um,
        frequency_hz=resolved.frequency_hz,
        sound_speed_m_s=resolved.sound_speed_m_s,
        missing=resolved.missing,
        notes=loaded.notes,
        metadata=dict(loaded.content.metadata),
        problem=str(missing_error(str(files[0]), resolved.missing)) if resolved.missing else None,
    )


def _with_sidecar(first: Path, config: LoadConfig) -> tuple[LoadConfig, Facts, tuple[str, ...]]:
    """The settings completed by the sidecar, the facts that both give, and a note."""
    folder = first.parent
    if not (folder / SIDECAR_NAME).is_file():
        return config, facts_of(config), ()
    facts, settings = read_sidecar(folder)
    by_hand = {name for name in config.model_fields_set if getattr(config, name) is not None}
    config = config.replace(**{k: v for k, v in settings.items() if k not in by_hand})
    note = f"{SIDECAR_NAME} beside the data was read."
    return config, merge_facts(facts, facts_of(config)), (note,)


def _load(files: Sequence[Path], config: LoadConfig, keep_damaged: bool = False) -> _Loaded:
    """Open every file, and put together what they, the sidecar and the settings say."""
    config, given, said = _with_sidecar(files[0], config)
    opened, damaged = _open_all(files, config, given, keep_damaged)
    first = opened[0]
    flat = first.sources[0].shape[2] == 1
    resolved = resolve_facts(merge_facts(first.facts, given), flat)
    axes = f"The axes are {config.axes}, as given." if config.axes else first.content.axes_note
    notes = [*said, axes, *first.content.notes, *resolved.notes]
    stored = [source for each in opened for source in each.sources]
    if config.log_compressed_db is not None:
        scale, note = log_scale(stored[0], config.log_compressed_db, first.content.full_scale)
        stored = [replace(source, log=scale) for source in stored]
        notes.append(note)
    elif _has_negative(stored[0]):
        notes.append(
            "The values are real and some negative, but are used as an envelope; "
            "demodulate RF data to IQ first."
        )
    sources: tuple[FrameSource, ...] = tuple(stored)
    if damaged:
        sources = _with_damaged(files, opened, damaged, sources)
        notes += [str(error) for error in damaged.values()]
    elif len(stored) > 1 and all(source.shape[0] == 1 for source in stored):
        sources = (JoinedFrames(tuple(stored)),)
        notes.append(f"The {len(stored)} files hold one frame each and are read as one series.")
    return _Loaded(
        first.content, stored[0].axes, resolved, sources, tuple(note for note in notes if note)
    )


def _open_all(
    files: Sequence[Path], config: LoadConfig, given: Facts, keep_damaged: bool
) -> tuple[list[_Opened], dict[Path, InputError]]:
    """The files that open and are alike, and what is wrong with the others."""
    opened: list[_Opened] = []
    damaged: dict[Path, InputError] = {}
    for path in files:
        try:
            file = _open_file(path, config)
            if opened:
                _refuse_unlike(opened[0], file, given)
            opened.append(file)
        except InputError as error:
            if not (keep_damaged and path.exists()):
                raise
            damaged[path] = error
    # One frame a file is a series of pictures; it has no blocks that could be left out.
    if damaged and (len(damaged) >= len(opened) or sum(s.shape[0] for s in opened[0].sources) == 1):
        raise next(iter(damaged.values()))
    return opened, damaged


def _with_damaged(
    files: Sequence[Path],
    opened: Sequence[_Opened],
    damaged: Mapping[Path, InputError],
    sources: Sequence[FrameSource],
) -> tuple[FrameSource, ...]:
    """The sources of the files that opened, with those that did not in their places."""
    first = opened[0]
    shape = (sum(s.shape[0] for s in first.sources), *first.sources[0].shape[1:])
    waiting, following = iter(sources), iter(opened)
    found: list[FrameSource] = []
    for path in files:
        if path in damaged:
            error = damaged[path]
            found.append(
                DamagedFrames(str(path), shape, first.sources[0].dtype, error.problem, error.remedy)
            )
        else:
            found += islice(waiting, len(next(following).sources))
    return tuple(found)


def _open_file(path: Path, config: LoadConfig) -> _Opened:
    reader = reader_for(path)
    with readable(path, reader.name):
        content = reader.open(path, config.variable)
        stored = sum(stored_bytes(file) for file in (path, *content.data_files))
    letters = config.axes or content.axes
    sources = []
    for array in content.arrays:
        check_claim(path, array.name, array.shape, array.dtype, stored)
        if array.dtype.kind not in "iufc" or min(array.shape, default=0) < 1:
            raise InputError(
                array.name,
                f"holds {array.dtype} of shape {array.shape}, not frames",
                "Name another array with --variable.",
            )
        if letters is None:
            raise InputError(
                array.name,
                f"has {len(array.shape)} axes {array.shape}, and nothing says which is which",
                "Name them with --axes, such as tzyx or zxyt (c: real and imaginary part).",
            )
        axes = fit_axes(letters, array.shape, array.name)
        if "c" in axes and array.dtype.kind == "c":
            raise InputError(
                array.name,
                "is complex and cannot have an axis c of real and imaginary part",
                "Leave c out of --axes.",
            )
        sources.append(StoredFrames(array, axes, str(path), reader.name))
    facts = content.facts
    if content.spacing_um is not None and any(content.spacing_um):
        facts = replace(facts, voxel_um=_by_letter(content.spacing_um, axes))
    if content.first_um is not None:
        facts = replace(facts, origin_um=_by_letter(content.first_um, axes))
    return _Opened(path, content, facts, tuple(sources))


def _by_letter(values: Sequence[float | None], axes: str) -> Partial:
    by_letter = dict(zip(axes, values, strict=True))
    return (by_letter.get("z"), by_letter.get("y"), by_letter.get("x"))


def _refuse_unlike(first: _Opened, other: _Opened, given: Facts) -> None:
    """Refuse a file that says another spacing, rate or wave, unless the settings say it."""
    for field in fields(Facts):
        one, two = getattr(first.facts, field.name), getattr(other.facts, field.name)
        # The origin may move between files (a moving probe); the first file's is used.
        if "origin" in field.name or one is None or two is None or getattr(given, field.name):
            continue
        pairs = zip(one, two, strict=True) if isinstance(one, tuple) else [(one, two)]
        if any(a and b and abs(a / b - 1) > 1e-3 for a, b in pairs):
            raise InputError(
                other.path,
                f"says {field.name} {two} where {first.path.name} says {one}",
                f"Name only files of one acquisition, or give {field.name}.",
            )
    if other.sources[0].shape[1:] != first.sources[0].shape[1:]:
        raise InputError(
            other.path,
            f"has frames of {other.sources[0].shape[1:]} voxels where {first.path.name} has "
            f"{first.sources[0].shape[1:]}",
            "Name only files of one acquisition.",
        )
    if other.sources[0].dtype != first.sources[0].dtype:
        raise InputError(
            other.path,
            f"holds {other.sources[0].dtype} where {first.path.name} holds "
            f"{first.sources[0].dtype}",
            "Name only files of one acquisition.",
        )


def _has_negative(source: StoredFrames) -> bool:
    """Whether the first frame of real data has values below 0, as no envelope has."""
    if source.dtype.kind == "c" or source.stored.dtype.kind == "u":
        return False
    return bool((source.read(0, 1) < 0).any())


def _name(files: Sequence[Path]) -> str:
    """The file's name without its ending, or the folder's when there are several."""
    if len(files) > 1:
        return files[0].resolve().parent.name or "acquisition"
    name = files[0].name
    endings = [suffix for suffix in known_suffixes() if name.lower().endswith(suffix)]
    stem = name[: -len(max(endings, key=len))] if endings else files[0].stem
    return stem.removesuffix(".ome") or name
