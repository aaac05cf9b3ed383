"""Rows of voxels on disk, for tables that do not fit into memory.

As in a log-structured merge tree (O'Neil et al., Acta Informatica 33:351-385, 1996), a full
table is appended as one run, sorted by voxel, without reading existing data. Runs are
merged into one when they have grown to twice the result of the last merge. The disk
is thus accessed sequentially, and each row only a few times, however long the acquisition.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ResultsError

__all__ = ["MemoryBound", "SortedRuns", "row_dtype"]

Rows = NDArray[Any]


def row_dtype(resamples: int = 0) -> np.dtype[np.void]:
    """Columns of a voxel: integer sums, and its first arrival.

    Parameters
    ----------
    resamples
        Number of bootstrap resamples, whose sums are stored too.
    """
    fields: list[Any] = [
        ("index", "<i8"), ("speed", "<i8"), ("axial", "<i8"), ("square", "<i8"),
        ("count", "<i4"), ("even", "<i4"), ("direction", "<i4"), ("reached", "<f4"),
    ]  # fmt: skip
    if resamples:
        fields += [("drawn", "<i4", (resamples,)), ("drawn_speed", "<i8", (resamples,))]
    return np.dtype(fields)


@dataclass(frozen=True)
class MemoryBound:
    """Memory limit of accumulating maps, and the place for data beyond it.

    Attributes
    ----------
    n_bytes
        Maximum memory of the table of voxels.
    folder
        Folder for a temporary file, which has no name if the system allows it, so that nothing
        is left behind however the process ends; None: the system's temporary folder.
    """

    n_bytes: int
    folder: Path | None = None


class SortedRuns:
    """Sorted runs of voxel rows in a temporary file.

    Parameters
    ----------
    folder
        Folder for the file; None: the system's temporary folder.
    rows_at_once
        Approximate number of rows in memory while runs are merged.
    row
        From `row_dtype`.
    """

    def __init__(self, folder: Path | None, rows_at_once: int, row: np.dtype[np.void]) -> None:
        self._folder, self._at_once, self._row = folder, rows_at_once, row
        self._file = self._new_file()
        self._starts = [0]  # start of each run, in rows, then the end of the last
        self._after_merging = 0

    def append(self, portions: Iterable[Rows]) -> None:
        """Append a run: rows of distinct voxels, ascending, in parts."""
        self._starts.append(self._written(self._file, self._starts[-1], portions))
        if len(self._starts) == 2:
            self._after_merging = self._starts[-1]
        elif self._starts[-1] > 2 * self._after_merging:
            self._merge()

    def settle(self) -> int:
        """Merge everything into one run; return its number of rows."""
        if len(self._starts) > 2:
            self._merge()
        return self._starts[-1]

    def portions(self) -> Iterator[Rows]:
        """The rows in ascending order, one per voxel."""
        self.settle()
        for low in range(0, self._starts[-1], self._at_once):
            yield self._read(low, min(low + self._at_once, self._starts[-1]))

    def _merge(self) -> None:
        merged = self._new_file()
        n_rows = self._written(merged, 0, self._merged())
        _close(self._file)
        self._file, self._starts, self._after_merging = merged, [0, n_rows], n_rows

    def _merged(self) -> Iterator[Rows]:
        """Rows of all runs in ascending order, summed per voxel."""
        at, ends = self._starts[:-1], self._starts[1:]
        portion = max(1, self._at_once // len(at))
        held = [np.empty(0, self._row) for _ in at]
        while True:
            for run, rows in enumerate(held):
                if not rows.size and at[run] < ends[run]:
                    stop = min(at[run] + portion, ends[run])
                    held[run], at[run] = self._read(at[run], stop), stop
            last = [rows["index"][-1] for rows in held if rows.size]
            if not last:
                return
            # Up to this voxel, all rows of all runs have been read.
            counts = [int(np.searchsorted(r["index"], min(last), side="right")) for r in held]
            yield _added_up(np.concatenate([r[:n] for r, n in zip(held, counts, strict=True)]))
            held = [rows[n:] for rows, n in zip(held, counts, strict=True)]

    def _read(self, start: int, stop: int) -> Rows:
        with self._told():
            self._file.seek(start * self._row.itemsize)
            data = bytearray((stop - start) * self._row.itemsize)
            self._file.readinto(data)  # type: ignore[attr-defined]
        return np.frombuffer(data, self._row)

    def _written(self, file: BinaryIO, start: int, portions: Iterable[Rows]) -> int:
        """Write rows; return where they end."""
        for rows in portions:
            with self._told():
                file.seek(start * self._row.itemsize)
                file.write(rows.tobytes())
                file.flush()
            start += rows.size
        return start

    def _new_file(self) -> BinaryIO:
        with self._told():
            file = tempfile.TemporaryFile(prefix=".maps.", dir=self._folder)  # noqa: SIM115
        weakref.finalize(self, _close, file)
        return file

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResultsError(
                f"{self._folder or tempfile.gettempdir()}: the maps do not fit into the memory "
                f"they may use, and they cannot be stored in this folder ({error.strerror or error}). "
                "Free some space on this disk, or allow more memory (--memory)."
            ) from error


def _close(file: BinaryIO) -> None:
    with suppress(OSError):  # data that did not fit on a full disk is no longer needed
        file.close()


def _added_up(rows: Rows) -> Rows:
    """One row per voxel, ascending; sums are of whole numbers, so their order does not matter."""
    rows = rows[np.argsort(rows["index"], kind="stable")]
    first = np.flatnonzero(np.diff(rows["index"], prepend=-1))
    if first.size == rows.size:
        return rows
    out = rows[first]
    for name in set(rows.dtype.names or ()) - {"index", "reached"}:
        out[name] = np.add.reduceat(rows[name], first)
    out["reached"] = np.minimum.reduceat(rows["reached"], first)
    return out
