"""What a reader finds in a file: arrays that are read on demand, and the facts beside them."""

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

#: Bytes that are read at once while frames are put in order; about a CPU's cache.
CHUNK_BYTES = 1 << 20


class StoredArray(Protocol):
    """An array as it lies in a file, read a stretch at a time.

    Implementations are small frozen dataclasses that hold a path, not an open file, so
    that they can be pickled and used from any thread.
    """

    @property
    def name(self) -> str:
        """The file and the array in it, for messages."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """A number type of NumPy; complex where the file stores real and imaginary parts."""
        ...

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out` with the elements start..stop-1 along `axis` (None: with all).

        `out` has the stored order of axes and any strides, complex64 or float32.
        """
        ...


@dataclass(frozen=True)
class FileArray:
    """What the arrays of most formats are: a path, a shape and a type.

    A format adds `StoredArray.read_into`, and where to find the array in the file.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """The file, for messages."""
        return self.path

    @property
    def holder(self) -> Path:
        """The file that holds the values."""
        return Path(self.path)


@dataclass(frozen=True)
class Variable:
    """One array of a file, as shown by `describe`."""

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
    """The largest value of an integer type, which is white in a movie; None for others."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else None


@dataclass(frozen=True)
class Content:
    """What `Reader.open` found.

    Parameters
    ----------
    arrays
        The array chosen; several where one file holds a series of consecutive blocks.
    variable
        Its name in the file, and `why` it was chosen.
    layout
        Which stored axis is which, or the question that has to be asked.
    facts
        Spacing, rate, wave, as far as the file says.
    spacing_um, first_um
        Spacing and first position of each stored axis, for formats that give them by axis
        and not by the letter; they follow `LoadConfig.axes`.
    variables
        Every array of the file.
    full_scale
        Largest value that the stored numbers can take, None when unknown.
    data_files
        Files that hold the values besides the one that was opened.
    place, series
        Where the file says that it belongs among others (DICOM's InstanceNumber), and of
        which series it is.
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


@dataclass(frozen=True)
class Reader:
    """A file format: how to know it and how to open it.

    Parameters
    ----------
    name
        What to call the format in messages.
    suffixes
        File name endings, lower case with the dot.
    sniff
        ``sniff(path, head) -> bool``: is it this format, told by the content? `head` are
        the first bytes (none for a folder).
    open
        ``open(path, variable) -> Content``; `variable` None: the reader chooses.
    list
        ``list(path) -> variables``: the arrays there are, even where none can be chosen.
    priority
        Formats of a lower number are asked first (a special HDF5 layout before any HDF5).
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path, bytes], bool]
    open: Callable[[Path, str | None], Content]
    list: Callable[[Path], tuple[Variable, ...]]
    priority: int = 50


@contextmanager
def readable(path: Path | str, what: str) -> Iterator[None]:
    """Turn whatever a parsing library raises into one sentence; see `causes.explain`."""
    try:
        yield
    except UlmError:
        raise
    except Exception as error:
        raise explain(path, what, error) from error


@contextmanager
def needs(package: str, what: str) -> Iterator[None]:
    """Name the optional extra that installs `package` where importing it fails."""
    try:
        yield
    except ImportError as error:
        raise BackendError(
            f"Reading {what} needs {package}: pip install 'napari-ulm3d[formats]'."
        ) from error


def only_array(path: Path, found: Variable, wanted: str | None) -> None:
    """Refuse a name that is not that of the only array in a file."""
    if wanted not in (None, found.name):
        raise InputError(path, f"has no array '{wanted}' (it contains {found})", "Leave it out.")


def stretch(ndim: int, axis: int | None, start: int, stop: int) -> tuple[slice, ...]:
    """The index of the elements start..stop-1 along one of `ndim` axes (None: of all)."""
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
        Bytes of one element along `axis`.
    read
        The values at an index (slices up to `axis`).
    align
        Chunks begin at multiples of it, as the file's storage chunks do.
    """
    for a, b in frame_chunks(start, stop, bytes_each, align):
        before = (slice(None),) * axis
        out[(*before, slice(a - start, b - start))] = read((*before, slice(a, b)))


def frame_chunks(start: int, stop: int, bytes_each: int, align: int = 1) -> list[tuple[int, int]]:
    """Cut start..stop into stretches of about `CHUNK_BYTES`, at multiples of `align`."""
    step = max(1, round(CHUNK_BYTES / max(1, bytes_each) / align)) * align
    cuts = list(range(start - start % step, stop, step))[1:]
    return list(zip([start, *cuts], [*cuts, stop], strict=True))
