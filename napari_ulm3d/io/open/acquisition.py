"""Open an acquisition from its files, and describe files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.io.facts.resolve import missing_error
from napari_ulm3d.io.formats.registry import known_suffixes, reader_for
from napari_ulm3d.io.open.files import AnyPath, find_files
from napari_ulm3d.io.open.origins import Origin, origins_of
from napari_ulm3d.io.open.series import load_files
from napari_ulm3d.io.stored.content import Variable, readable

__all__ = ["FileDescription", "describe", "open_acquisition"]


#: Maximum number of arrays listed in a description.
_SHOWN = 20


@dataclass(frozen=True)
class FileDescription:
    """Contents of a file and how it would be read; everything but the path may be missing.

    `problem` is the message that `open_acquisition` would raise; None if the file can be opened.
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
    origins: Mapping[str, Origin] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    problem: str | None = None

    def lines(self) -> list[str]:
        """The description as text, one fact per line."""
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
        for label, name, unit in (
            ("voxel spacing z, y, x", "voxel_um", "um"),
            ("origin z, y, x", "origin_um", "um"),
            ("frame rate", "rate_hz", "Hz"),
            ("wavelength", "wavelength_um", "um"),
            ("frequency", "frequency_hz", "Hz"),
            ("speed of sound", "sound_speed_m_s", "m/s"),
        ):
            value, origin = getattr(self, name), self.origins.get(name)
            text = "not known" if value is None else f"{_numbers(value)} {unit}"
            if origin is not None:
                text += f" ({origin.source})"
                if origin.instead is not None:
                    text += f"; {origin.instead_from} states {_numbers(origin.instead)} {unit}"
            lines.append(f"{label}: {text}")
        lines += [f"note: {note}" for note in self.notes]
        if self.problem:
            lines.append(f"cannot be opened as it is: {self.problem}")
        return lines


def open_acquisition(
    paths: AnyPath | Sequence[AnyPath],
    config: LoadConfig | None = None,
    *,
    keep_damaged: bool = False,
) -> Acquisition:
    """Open one acquisition; only headers are read until frames are requested.

    Parameters
    ----------
    paths
        A file, a folder of files, a pattern (``data/IQ*.mat``), or several of these.
        Several files are consecutive blocks of one acquisition: in the given order if listed,
        in numerical order (IQ2 before IQ10) for a folder or pattern.
    config
        Reading options, and facts that the files lack. It overrides the sidecar
        ``acquisition.toml`` in the folder, which overrides the files.
    keep_damaged
        If most files fit together, files that cannot be opened or differ from the others
        keep their place in time, with as many frames as the first file; reading these raises.

    Returns
    -------
    Acquisition
        Frames (t, z, y, x), complex64 IQ or float32 envelope; `notes` list the assumptions.

    Raises
    ------
    MissingMetadataError
        Neither the files nor the settings give the spacing or rate.
    InputError
        A file is missing, damaged, of no known format, or unlike the others.
    BackendError
        A format needs an optional library that is not installed.
    """
    files = find_files(paths)
    loaded = load_files(files, config or LoadConfig(), keep_damaged)
    resolved, sources = loaded.resolved, loaded.sources
    if resolved.missing:
        raise missing_error(str(files[0]), resolved.missing)
    assert resolved.voxel_um is not None
    assert resolved.rate_hz is not None
    try:
        grid = Grid(sources[0].shape[1:], resolved.voxel_um, resolved.origin_um)
    except ValueError as error:
        raise InputError(
            files[0], f"states impossible values: {error}", "Give --voxel-um and --origin-um."
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
    """Describe a file (or several of one acquisition), complete or not.

    Raises only if a file cannot be inspected (missing, damaged, of no known format, or its
    library is not installed); every other problem is given in `FileDescription.problem`.
    """
    files = find_files(paths)
    reader = reader_for(files[0])
    with readable(files[0], reader.name):
        variables = reader.list(files[0])
    found = FileDescription(str(files[0]), reader.name, len(files), variables)
    try:
        loaded = load_files(files, config or LoadConfig())
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
        origins=origins_of(files[0], config or LoadConfig(), loaded),
        missing=resolved.missing,
        notes=loaded.notes,
        metadata=dict(loaded.content.metadata),
        problem=str(missing_error(str(files[0]), resolved.missing)) if resolved.missing else None,
    )


def _numbers(value: float | tuple[float, ...]) -> str:
    return " ".join(f"{v:.6g}" for v in (value if isinstance(value, tuple) else (value,)))


def _name(files: Sequence[Path]) -> str:
    """The file's name without its suffix, or the folder's name for several files."""
    if len(files) > 1:
        return files[0].resolve().parent.name or "acquisition"
    name = files[0].name
    endings = [suffix for suffix in known_suffixes() if name.lower().endswith(suffix)]
    stem = name[: -len(max(endings, key=len))] if endings else files[0].stem
    return stem.removesuffix(".ome") or name
