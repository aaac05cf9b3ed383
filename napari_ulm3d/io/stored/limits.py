"""Check the sizes claimed by a file against its length and free memory, before allocating.

A damaged or hostile header can declare terabytes in eight bytes, and compressed zeros grow a
thousandfold. Frames are read lazily, so a large acquisition on a small computer is fine:
only what the stored bytes cannot possibly contain, and reads that exceed free memory,
are refused.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.links import refuse_absent, within_dataset
from napari_ulm3d.system.machine import free_memory

__all__ = ["CappedFile", "check_claim", "check_free", "refuse_cut_short", "stored_bytes"]

#: Above the limit of deflate (1032:1), and far above its ratio on frames (2:1).
_MOST_COMPRESSION = 1100
#: Size that is always accepted, because it cannot do harm.
_HARMLESS_BYTES = 64 << 20


def check_claim(
    path: Path | str, what: str, shape: Iterable[int], dtype: np.dtype[Any], stored: int
) -> None:
    """Refuse an array that is larger than its stored bytes can possibly contain.

    Parameters
    ----------
    path, what
        The file and the array in it, for the message.
    shape, dtype
        As declared in the header.
    stored
        Bytes on disk that may belong to the array (the whole file if unknown).

    Raises
    ------
    InputError
        It would need more than 1100 times the stored bytes and more than 64 MB, or a length
        is negative.
    """
    sizes = [int(n) for n in shape]
    if min(sizes, default=1) < 0:
        raise InputError(
            path, f"claims the shape {tuple(sizes)} for {what}", "It is damaged: copy it again."
        )
    claimed = prod(sizes) * dtype.itemsize
    if claimed > max(_HARMLESS_BYTES, _MOST_COMPRESSION * stored):
        raise InputError(
            path,
            f"claims {_amount(claimed)} for {what}, more than its {_amount(stored)} can contain",
            "It is damaged or was never filled: copy it again from the original.",
        )


def refuse_cut_short(path: Path | str, needed: int, stored: int) -> None:
    """Refuse uncompressed values of which the end is missing, before a run reaches it.

    Raises
    ------
    InputError
        `needed` bytes, up to the last value, are more than the `stored` bytes of the file.
    """
    if needed > stored:
        raise InputError(
            path,
            f"ends too early: its values need {_amount(needed)}, of which {_amount(stored)} are "
            "there",
            "It is incomplete: copy it again from the original.",
        )


def check_free(name: str, needed: int, what: str, remedy: str) -> None:
    """Refuse to read data that do not fit in free memory.

    Raises
    ------
    InputError
        `needed` bytes exceed the free memory (and 64 MB).
    """
    if needed <= _HARMLESS_BYTES:
        return
    free = free_memory()
    if needed > free:
        raise InputError(
            name,
            f"needs {_amount(needed)} of memory for {what}, but only {_amount(free)} are free",
            remedy,
        )


def stored_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder that is one store, in bytes.

    Raises
    ------
    InputError
        The folder contains a device or a pipe, or a link that leads out of the folder and its
        dataset: reading it would return other data or never end.
    """
    if not path.is_dir():
        return path.stat().st_size
    total, walked = 0, {path.resolve()}
    for folder, inner, files in os.walk(path, followlinks=True):
        for name in (*inner, *files):
            item = Path(folder, name)
            if item.is_symlink() and not within_dataset(path, item):
                raise InputError(
                    path,
                    f"contains the link {name}, which leads outside it",
                    "Copy it together with the files that its links point to (cp -rL).",
                )
            if item.is_symlink() and not item.exists():
                refuse_absent(item)
            if item.is_file():
                total += item.stat().st_size
            elif not item.is_dir():
                raise InputError(
                    path, f"contains {name}, which is not a regular file", "Copy it as a whole."
                )
        # A link to a parent folder would be followed forever.
        inner[:] = [name for name in inner if _is_new(Path(folder, name), walked)]
    return total


def _is_new(folder: Path, walked: set[Path]) -> bool:
    if not folder.is_symlink():
        return True
    real = folder.resolve()
    new = real not in walked
    walked.add(real)
    return new


class CappedFile(io.BufferedReader):
    """A file that never allocates more bytes than it has left.

    Python's own file allocates everything requested before it reads, and a damaged element
    length can request gigabytes.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(io.FileIO(path))
        self._end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes, fewer at the end of the file."""
        if size is None or size < 0:
            return super().read(size)
        return super().read(min(size, max(0, self._end - self.tell())))


def _amount(count: int) -> str:
    for unit, size in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
