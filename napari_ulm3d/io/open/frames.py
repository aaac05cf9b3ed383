"""Stored arrays as frames (t, z, y, x): reordered, converted and linearized on reading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import FrameSource
from napari_ulm3d.errors import InputError
from napari_ulm3d.frame_sources import refuse_beyond_single
from napari_ulm3d.io.stored.axes import frame_shape, stored_view
from napari_ulm3d.io.stored.content import StoredArray, frame_chunks, readable
from napari_ulm3d.io.stored.limits import check_free

__all__ = [
    "DamagedFrames",
    "JoinedFrames",
    "LogScale",
    "StoredFrames",
    "empty_frames",
    "largest_value",
    "log_scale",
]


@dataclass(frozen=True)
class LogScale:
    """Linearization of a log-compressed movie.

    The movie shows ``20 log10(amplitude / amplitude_max)`` over a dynamic range of `db`
    decibels, as grey values 0..`white`. The inverse is

        amplitude = 10 ** ((v / white - 1) * db / 20)

    so white has amplitude 1. A black voxel (v <= 0) was at or below the dynamic range; it is
    set to amplitude 0, not to the 10**(-db/20) of the formula, so that black means
    empty. `white` None: the values are in decibels themselves, with a maximum of 0.
    """

    db: float
    white: float | None

    def linearize(self, values: NDArray[np.float32]) -> None:
        """Convert grey values to amplitudes, in place."""
        if self.white is None:
            black = values <= -self.db
            values *= np.float32(np.log(10) / 20)
        else:
            black = values <= 0
            values /= np.float32(self.white)
            values -= np.float32(1)
            values *= np.float32(np.log(10) * self.db / 20)
        np.exp(values, out=values)
        values[black] = 0


@dataclass(frozen=True)
class StoredFrames:
    """Frames of a stored array; implements `FrameSource`.

    Parameters
    ----------
    stored
        The array in its file.
    axes
        One letter of ``tzyxc_`` for each of its axes (see `napari_ulm3d.io.stored.axes`).
    file
        The file's path and `format`, for messages.
    log
        Linearization of a log-compressed movie.
    data_files
        Files with the values if `file` contains only the header.
    """

    stored: StoredArray
    axes: str
    file: str
    format: str
    log: LogScale | None = None
    data_files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return frame_shape(self.axes, self.stored.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        is_complex = "c" in self.axes or self.stored.dtype.kind == "c"
        return np.dtype(np.complex64 if is_complex else np.float32)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop-1 as a new C-contiguous array (t, z, y, x) of `dtype`."""
        frames = empty_frames(self, start, stop)
        axis = self.axes.index("t") if "t" in self.axes else None
        with readable(self.file, self.format), np.errstate(over="ignore", invalid="ignore"):
            self.stored.read_into(stored_view(frames, self.axes), axis, start, stop)
            self._check_range(frames, axis, start)
        if self.log is not None:
            for frame in frames:
                self.log.linearize(frame)
        return frames

    def _check_range(self, frames: NDArray[Any], axis: int | None, start: int) -> None:
        """Refuse doubles that became infinite or zero in the conversion to single precision."""
        numbers = frames.view(np.float32)
        low, high = float(numbers.min()), float(numbers.max())
        if (low, high) != (0, 0) and np.isfinite([low, high]).all():
            return
        wide = np.dtype(np.complex128 if self.dtype.kind == "c" else np.float64)
        frame = np.empty((1, *frames.shape[1:]), wide)
        for index, values in enumerate(frames):
            if values.any() and np.isfinite(values.view(np.float32)).all():
                continue
            at = start + index
            self.stored.read_into(stored_view(frame, self.axes), axis, at, at + 1)
            refuse_beyond_single(frame, self.name)


@dataclass(frozen=True)
class JoinedFrames:
    """Files with one frame each, as one source; implements `FrameSource`."""

    sources: tuple[StoredFrames, ...]

    @property
    def name(self) -> str:
        return f"{self.sources[0].name} ... {self.sources[-1].name}"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.sources), *self.sources[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sources[0].dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop-1 as a new C-contiguous array (t, z, y, x) of `dtype`."""
        frames = empty_frames(self, start, stop)
        for frame, source in zip(frames, self.sources[start:stop], strict=True):
            frame[...] = source.read(0, 1)[0]
        return frames


def empty_frames(source: FrameSource, start: int, stop: int) -> NDArray[Any]:
    """An array (t, z, y, x) for frames start..stop-1 of a source.

    Raises
    ------
    IndexError
        The source has no such frames.
    InputError
        Memory does not hold them at once.
    """
    n, *space = source.shape
    if not 0 <= start < stop <= n:
        raise IndexError(f"frames {start}:{stop} of {source.name}, which has {n}")
    check_free(
        source.name,
        (stop - start) * prod(space) * source.dtype.itemsize,
        f"frames {start} to {stop - 1}",
        "Use fewer frames per block (load.frames_per_block).",
    )
    return np.empty((stop - start, *space), source.dtype)


@dataclass(frozen=True)
class DamagedFrames:
    """Placeholder for the frames of an unusable file; implements `FrameSource`.

    Parameters
    ----------
    name
        The file's path.
    shape, dtype
        Assumed contents, like those of the other files of the acquisition.
    problem, remedy
        What is wrong with the file, as in `InputError`.
    """

    name: str
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    problem: str
    remedy: str

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Raise the error of the file."""
        raise InputError(self.name, self.problem, self.remedy)


def log_scale(source: StoredFrames, db: float, full_scale: float | None) -> tuple[LogScale, str]:
    """The scale of a log-compressed movie, and a note that states the assumed white level.

    White is the largest value that the file's integers can represent; for floating-point
    data it is the largest value in the first file. Floating-point data without positive
    values are already in decibels.
    """
    if source.dtype.kind == "c":
        raise InputError(
            source.name,
            "contains complex IQ, which cannot be log-compressed",
            "Do not set log_compressed_db.",
        )
    if full_scale is not None:
        note = f"Linearized from {db:g} dB of log compression with white = {full_scale:g}."
        return LogScale(db, full_scale), f"{note} Black (0) became amplitude 0."
    white = largest_value(source)
    if not np.isfinite(white):
        raise InputError(
            source.name,
            "contains NaN or infinite values",
            "Replace those frames or leave them out.",
        )
    if white <= 0:
        return LogScale(db, None), (
            f"The values are negative and were therefore read as decibels; values of -{db:g} "
            "dB or less became amplitude 0."
        )
    note = f"Linearized from {db:g} dB of log compression with white = {white:g}, the largest"
    return LogScale(db, white), f"{note} value of {source.name}. Black (0) became amplitude 0."


def largest_value(source: StoredFrames) -> float:
    """Largest value of a source as stored, read a few frames at a time."""
    source = replace(source, log=None)
    bytes_each = int(np.prod(source.shape[1:])) * 4
    parts = frame_chunks(0, source.shape[0], bytes_each)
    return max(float(source.read(start, stop).max()) for start, stop in parts)
