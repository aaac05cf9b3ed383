"""What a file claims, held against what it has and what is free, before memory is taken.

A damaged or hostile header declares terabytes in eight bytes, and compressed zeros grow a
thousandfold. Frames are read lazily, so a large acquisition on a small computer is no fault:
refused is only what the stored bytes cannot possibly hold, and a read that free memory
cannot take.
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

__all__ = ["CappedFile", "check_claim", "check_free", "stored_bytes"]

#: More than deflate can compress at all (1032:1), and far more than it does with frames (2:1).
_MOST_COMPRESSION = 1100
#: What may be claimed and read without a question: it harms nobody.
_HARMLESS_BYTES = 64 << 20


def check_claim(
    path: Path | str, what: str, shape: Iterable[int], dtype: np.dtype[Any], stored: int
) -> None:
    """Refuse an array that is larger than its stored bytes can hold.

    Parameters
    ----------
    path, what
        The file and the array in it, for the message.
    shape, dtype
        As declared.
    stored
        Bytes on disk that the array could be in (all of the file, where it is not known).

    Raises
    ------
    InputError
        It would take more than 1100 times the stored bytes, and more than 64 MB; or a length
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


def check_free(name: str, needed: int, what: str, remedy: str) -> None:
    """Refuse to read what does not fit in free memory.

    Raises
    ------
    InputError
        `needed` bytes are more than are free (and more than 64 MB).
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
    """Bytes of a file, or of all files of a folder that is one store.

    Raises
    ------
    InputError
        The folder holds a device or a pipe, or a link that leads out of it and its dataset:
        reading it would read something else, or never end.
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
        # A link to a folder above would be walked for ever.
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
    """A file that never takes memory for more bytes than it has left.

    Python's own takes memory for all that is asked for before it reads, and a damaged
    length of an element can ask for gigabytes.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(io.FileIO(path))
        self._end = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, fewer at the file's end."""
        if size is None or size < 0:
            return super().read(size)
        return super().read(min(size, max(0, self._end - self.tell())))


def _amount(count: int) -> str:
    for unit, size in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
