"""Contents of a file as found by a reader: arrays read on demand, and facts beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import BackendError, InputError, UlmError
from napari_ulm3d.io.facts.resolve import Facts
from napari_ulm3d.io.stored.axes import Layout
from napari_ulm3d.io.stored.causes import explain

__all__ = [
    "Content",
    "FileArray",
    "Reader",
    "StoredArray",
    "Variable",
    "fill_in_chunks",
    "frame_chunks",
    "full_scale",
    "needs",
    "only_array",
    "readable",
    "stretch",
]

#: Bytes read at once while frames are reordered; about the size of a CPU cache.
CHUNK_BYTES = 1 << 20


class StoredArray(Protocol):
    """An array in a file, read in parts.

    Implementations are small frozen dataclasses that hold a path, not an open file, so
    they can be pickled and used from any thread.
    """

    @property
    def name(self) -> str:
        """The file and the array's name in it, for messages."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy number type; complex if the file stores real and imaginary parts."""
        ...

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out` with elements start..stop-1 along `axis` (None: with all).

        `out` has its axes in the stored order, any strides, and dtype complex64 or float32.
        """
        ...


@dataclass(frozen=True)
class FileArray:
    """Base of the arrays of most formats: a path, a shape and a dtype.

    Each format adds `StoredArray.read_into` and the location of the array in the file.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """Path of the file, for messages."""
        return self.path

    @property
    def holder(self) -> Path:
        """The file that contains the values."""
        return Path(self.path)


@dataclass(frozen=True)
class Variable:
    """An array in a file, as listed by `describe`."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.name} {self.shape} {self.dtype}"


def full_scale(dtype: np.dtype[Any]) -> float | None:
    """Largest value of an integer type, which is white in a movie; None for other types."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None


@dataclass(frozen=True)
class Content:
    """Result of `Reader.open`.

    Parameters
    ----------
    arrays
        The chosen array; several if one file contains a series of consecutive blocks.
    variable
        Its name in the file; `why` is the reason for the choice.
    layout
        Meaning of the stored axes, or the question to ask.
    facts
        Spacing, rate and wavelength, as far as given in the file.
    spacing_um, first_um
        Spacing and first position of each stored axis, for formats that give them by axis
        rather than by letter; they follow `LoadConfig.axes`.
    variables
        All arrays in the file.
    full_scale
        Largest possible stored value; None if unknown.
    data_files
        Files with the values, other than the one opened.
    place, series
        Position in its series, if given (DICOM's InstanceNumber), and the identifier of the
        series.
    position_mm
        Position in space of a single plane, if given.
    """

    arrays: tuple[StoredArray, ...]
    variable: str
    why: str
    layout: Layout
    facts: Facts = field(default_factory=Facts)
    spacing_um: tuple[float | None, ...] | None = None
    first_um: tuple[float | None, ...] | None = None
    variables: tuple[Variable, ...] = ()
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    full_scale: float | None = None
    data_files: tuple[Path, ...] = ()
    place: int | None = None
    series: str = ""
    position_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Reader:
    """A file format: how to recognize and open it.

    Parameters
    ----------
    name
        Name of the format in messages.
    suffixes
        File name endings, lower case with the dot.
    sniff
        ``sniff(path, head) -> bool``: whether the content has this format; `head` contains
        the first bytes (empty for a folder).
    open
        ``open(path, variable) -> Content``; with `variable` None, the reader chooses.
    list
        ``list(path) -> variables``: the available arrays, even if none can be chosen.
    priority
        Formats with lower numbers are tried first (a special HDF5 layout before general HDF5).
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path, bytes], bool]
    open: Callable[[Path, str | None], Content]
    list: Callable[[Path], tuple[Variable, ...]]
    priority: int = 50


@contextmanager
def readable(path: Path | str, what: str) -> Iterator[None]:
    """Turn any exception of a parsing library into one sentence; see `causes.explain`."""
    try:
        yield
    except UlmError:
        raise
    except Exception as error:
        raise explain(path, what, error) from error


@contextmanager
def needs(package: str, what: str) -> Iterator[None]:
    """Name the optional extra that installs `package` if importing it fails."""
    try:
        yield
    except ImportError as error:
        raise BackendError(
            f"Reading {what} needs {package}: pip install 'napari-ulm3d[formats]'."
        ) from error


def only_array(path: Path, found: Variable, wanted: str | None) -> None:
    """Refuse a requested name other than that of the only array in a file."""
    if wanted not in (None, found.name):
        raise InputError(path, f"has no array '{wanted}' (it contains {found})", "Leave it out.")


def stretch(ndim: int, axis: int | None, start: int, stop: int) -> tuple[slice, ...]:
    """Index of elements start..stop-1 along one of `ndim` axes (None: all elements)."""
    return tuple(slice(start, stop) if i == axis else slice(None) for i in range(ndim))


def fill_in_chunks(
    out: NDArray[Any],
    axis: int,
    start: int,
    stop: int,
    bytes_each: int,
    read: Callable[[tuple[slice, ...]], NDArray[Any]],
    align: int = 1,
) -> None:
    """Fill `out` with start..stop-1 along `axis`, about `CHUNK_BYTES` at a time.

    Parameters
    ----------
    bytes_each
        Bytes per element along `axis`.
    read
        Returns the values at an index (slices up to `axis`).
    align
        Chunks begin at multiples of this, to match the file's storage chunks.
    """
    for a, b in frame_chunks(start, stop, bytes_each, align):
        before = (slice(None),) * axis
        out[(*before, slice(a - start, b - start))] = read((*before, slice(a, b)))


def frame_chunks(start: int, stop: int, bytes_each: int, align: int = 1) -> list[tuple[int, int]]:
    """Split start..stop into parts of about `CHUNK_BYTES` at multiples of `align`."""
    step = max(1, round(CHUNK_BYTES / max(1, bytes_each) / align)) * align
    cuts = list(range(start - start % step, stop, step))[1:]
    return list(zip([start, *cuts], [*cuts, stop], strict=True))
