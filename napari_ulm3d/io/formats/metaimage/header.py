"""Text header of a MetaImage file: one field per line, up to ``ElementDataFile``.

A sequence metafile (PLUS, Kitware's MetaIO with ``Seq_Frame0000_Timestamp``) has several fields
per frame, so the limit applies to the header's bytes, not to the number of fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.causes import AGAIN
from napari_ulm3d.io.stored.links import beside

__all__ = [
    "data_file",
    "data_files",
    "intensity",
    "is_turned",
    "numbers",
    "read_header",
    "sequence_rate",
]

#: 100,000 frames with the usual fields of a tracked sequence take about 40 MB.
_MOST_BYTES = 64 << 20
_MOST_LINE = 1 << 16
_STAMP = re.compile(r"Seq_Frame(\d+)_Timestamp$", re.IGNORECASE)
_PATTERN = re.compile(r"([^%]*)%0?(\d{0,2})[di]([^%]*?)\s+(\d+)\s+(\d+)(?:\s+(\d+))?")
_MOST_FILES = 1_000_000


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """Read the header's fields, and the byte at which it ends.

    Raises
    ------
    InputError
        It does not end within 64 MB, or has a line that is not a field.
    """
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _MOST_BYTES:
            line = file.readline(_MOST_LINE)
            if not line:
                break
            text = _decoded(line).strip("\r\n")
            key, equals, value = text.partition("=")
            if not equals:
                key, equals, value = text.partition(":")  # MetaIO accepts both
            if not equals and text.strip():
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return fields, file.tell()
    raise InputError(path, "is a MetaImage file without ElementDataFile in its header", AGAIN)


def _decoded(line: bytes) -> str:
    """Decode as UTF-8, today's usual encoding of file names; otherwise as Latin-1."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def numbers(path: Path, fields: Mapping[str, str], name: str, n: int) -> list[float]:
    """The `n` numbers of a field.

    Raises
    ------
    InputError
        It has another number of them, or something else.
    """
    try:
        values = [float(v) for v in fields[name].split()]
    except ValueError:
        values = []
    if len(values) != n or not np.isfinite(values).all():
        raise InputError(
            path,
            f"has {name} = {fields[name]} in its header",
            f"Write {n} numbers with decimal points, separated by spaces.",
        )
    return values


def is_turned(path: Path, fields: Mapping[str, str], n: int) -> bool:
    """Whether the header rotates or flips the axes (TransformMatrix or its older names)."""
    for name in ("TransformMatrix", "Rotation", "Orientation"):
        if name in fields:
            matrix = np.reshape(numbers(path, fields, name, n * n), (n, n))
            return not np.allclose(matrix, np.eye(n), atol=1e-3)
    return False


def intensity(path: Path, fields: Mapping[str, str]) -> tuple[float, float]:
    """Offset and slope from stored values to intensities; (0, 1) if the header gives none."""
    found = []
    for name, default in (("Offset", 0.0), ("Slope", 1.0)):
        key = f"ElementToIntensityFunction{name}"
        found.append(numbers(path, fields, key, 1)[0] if key in fields else default)
    return (found[0], found[1]) if found[1] else (0.0, 1.0)


def data_file(path: Path, fields: Mapping[str, str]) -> Path:
    """The file that contains the values; `path` itself for ``LOCAL``.

    The name is taken literally, including spaces and percent signs.
    """
    named = fields["ElementDataFile"]
    if named.upper() == "LOCAL":
        return path
    if not named:
        raise InputError(path, "names no data file", "Correct ElementDataFile in its header.")
    return beside(path, named)


def data_files(
    path: Path, fields: Mapping[str, str], header_bytes: int
) -> tuple[int | None, tuple[Path, ...]]:
    """List the files that contain the values, in order; empty if there is only one.

    ``LIST [n]`` is followed by one name per line. A pattern with numbers
    (``slice%03d.raw 1 40 1``) names files from a first to a last number. Each file contains n axes,
    by default all but the slowest.

    Returns
    -------
    tuple
        n if given, and the files.
    """
    named = fields["ElementDataFile"]
    if not Path(named).is_absolute() and (path.parent / named).is_file():
        return None, ()
    listed = re.fullmatch(r"LIST(?:\s+([1-9])D?)?", named, re.I)
    if listed:
        with path.open("rb") as file:
            file.seek(header_bytes)
            text = _decoded(file.read(_MOST_BYTES))
        names = [line.strip() for line in text.splitlines() if line.strip()]
        if not names:
            raise InputError(path, "lists no data files", "Correct ElementDataFile in its header.")
        axes = int(listed[1]) if listed[1] else None
        return axes, tuple(beside(path, name) for name in names)
    pattern = _PATTERN.fullmatch(named)
    if not pattern:
        return None, ()
    first, last, step = int(pattern[4]), int(pattern[5]), int(pattern[6] or 1)
    if step < 1 or not 0 <= last - first < _MOST_FILES * step:
        raise InputError(
            path, f"names the data files {named}", "Correct ElementDataFile in its header."
        )
    numbers = (str(n).zfill(int(pattern[2] or 0)) for n in range(first, last + 1, step))
    return None, tuple(beside(path, f"{pattern[1]}{n}{pattern[3]}") for n in numbers)


def sequence_rate(fields: Mapping[str, str], notes: list[str]) -> float | None:
    """Frame rate from the timestamps (seconds) of a sequence; None without timestamps."""
    stamps: dict[int, float] = {}
    for key, value in fields.items():
        found = _STAMP.match(key)
        if found:
            try:
                stamps[int(found[1])] = float(value)
            except ValueError:
                return None
    frames = np.array(sorted(stamps))
    times = np.array([stamps[frame] for frame in frames.tolist()])
    if len(times) < 2 or not np.isfinite(times).all():
        return None
    steps = np.diff(times) / np.diff(frames)
    if steps.min() <= 0:
        notes.append("The timestamps of the frames do not increase and were not used.")
        return None
    period = float((times[-1] - times[0]) / (frames[-1] - frames[0]))
    notes.append("The frame rate is from the timestamps of the frames.")
    if np.ptp(steps) > 0.05 * period:
        notes.append(
            f"The frames are not evenly spaced in time ({steps.min():.4g} to {steps.max():.4g} "
            "s); the mean rate was used."
        )
    return 1 / period
