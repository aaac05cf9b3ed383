"""Index of the planes of a TIFF series, built once per file and reused for every frame.

A movie of 1,000 volumes of 40 planes is a chain of 40,000 pages, and following it takes seconds,
which must not happen for every displayed frame. Only the page positions are cached, a few
hundred kB, never an open file. A file that has changed is indexed again.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.formats.tiff.safety import opened_tiff
from napari_ulm3d.io.stored.limits import CappedFile

__all__ = ["PageIndex", "keep_index", "page_index"]

_MOST_KEPT = 8
_kept: OrderedDict[tuple[Any, ...], PageIndex] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class PageIndex:
    """Positions of the planes of a series.

    Attributes
    ----------
    offsets
        Byte at which the page of each plane begins in its file; -1 for missing pages.
    files, file_of
        The files (one, except for a multi-file OME-TIFF), and the number of the file for each plane.
    data_offset
        Byte at which all values begin if they form one uncompressed block; None: in pages.
    dtype
        As stored, including byte order.
    """

    offsets: NDArray[np.int64]
    files: tuple[str, ...]
    file_of: NDArray[np.int32]
    data_offset: int | None
    dtype: np.dtype[Any]

    def values(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """All values, memory-mapped, if they form one block."""
        return np.memmap(self.files[0], self.dtype, "r", self.data_offset or 0, shape)

    def pages(self, planes: Iterable[int]) -> Iterator[tuple[str, Any]]:
        """Yield the file and tifffile page of each plane in turn, with the file open."""
        import tifffile

        with ExitStack() as stack:
            opened: dict[str, tifffile.TiffFile] = {}
            for plane in planes:
                if self.offsets[plane] < 0:
                    raise ValueError(f"plane {plane} is missing")
                name = self.files[self.file_of[plane]]
                if name not in opened:
                    raw = stack.enter_context(CappedFile(name))
                    opened[name] = stack.enter_context(tifffile.TiffFile(raw))
                file = opened[name]
                file.filehandle.seek(int(self.offsets[plane]))
                yield name, tifffile.TiffPage(file, plane)


def page_index(path: str, number: int) -> PageIndex:
    """The index of a series in a file, from the cache or newly built."""
    key = _key(path, number)
    with _lock:
        found = _kept.get(key)
    if found is not None:
        return found
    with opened_tiff(path) as file:
        return keep_index(path, number, file.series[number])


def keep_index(path: str, number: int, series: Any) -> PageIndex:
    """Find the planes of an open series and cache their positions."""
    files: dict[str, int] = {}
    # Values in one block need no pages; requesting them would read the whole chain.
    n_pages = len(series.pages) if series.dataoffset is None else 0
    offsets = np.full(n_pages, -1, np.int64)
    file_of = np.zeros(n_pages, np.int32)
    own = os.path.basename(path)
    for plane, page in enumerate(series.pages if n_pages else ()):
        if page is None:
            continue
        name = page.parent.filehandle.name
        name = path if name in ("", own) else str(Path(path).parent / os.path.basename(name))
        offsets[plane], file_of[plane] = page.offset, files.setdefault(name, len(files))
    index = PageIndex(
        offsets,
        tuple(files) or (path,),
        file_of,
        series.dataoffset if len(files) < 2 else None,
        np.dtype(series.dtype).newbyteorder(series.keyframe.parent.byteorder),
    )
    with _lock:
        _kept[_key(path, number)] = index
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return index


def _key(path: str, number: int) -> tuple[Any, ...]:
    found = os.stat(path)
    return (os.path.abspath(path), number, found.st_size, found.st_mtime_ns, found.st_ino)
