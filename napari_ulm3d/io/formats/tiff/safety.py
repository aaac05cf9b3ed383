"""Safe opening of TIFF files: no other folders, no truncated files, no unbounded inflation."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.causes import missing_codec
from napari_ulm3d.io.stored.limits import CappedFile
from napari_ulm3d.io.stored.streams import InflatedBytes
from napari_ulm3d.system.machine import free_memory

if TYPE_CHECKING:
    import tifffile

__all__ = ["opened_tiff", "refuse_bomb", "refuse_missing_codec"]

_AGAIN = "Copy it again from the original."
_DESCRIPTION = 270
_DEFLATE = (8, 32946)
#: The maximum compression that deflate can reach.
_MOST_GROWTH = 1032


@contextmanager
def opened_tiff(path: Path | str) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file and check that all of its pages are present.

    Raises
    ------
    InputError
        It is truncated (tifffile would continue with the remaining pages), its pages form a
        cycle, or its OME-XML names files outside its folder.
    """
    import tifffile

    with CappedFile(path) as raw, tifffile.TiffFile(raw) as file:
        _refuse_lost_pages(path, file)
        _refuse_other_folders(path, file)
        yield file


def _refuse_lost_pages(path: Path | str, file: tifffile.TiffFile) -> None:
    """Follow the chain of pages: each must lie in the file, and all of them must fit into it."""
    tiff, handle = file.tiff, file.filehandle

    def number(form: str, size: int) -> int:
        return int(struct.unpack(form, handle.read(size))[0])

    offset, n_entries, seen = file.pages.first.offset, 0, set[int]()
    while offset:
        if offset + tiff.tagnosize > handle.size:
            raise InputError(path, "is incomplete: some pages lie beyond its end", _AGAIN)
        handle.seek(offset)
        n_here = number(tiff.tagnoformat, tiff.tagnosize)
        n_entries += n_here
        if offset in seen or n_entries * tiff.tagsize > handle.size:
            raise InputError(path, "is damaged: its pages form a loop", _AGAIN)
        if not seen:
            _refuse_lost_description(path, file, handle.read(n_here * tiff.tagsize))
        seen.add(offset)
        handle.seek(offset + tiff.tagnosize + n_here * tiff.tagsize)
        offset = number(tiff.offsetformat, tiff.offsetsize)


def _refuse_lost_description(path: Path | str, file: tifffile.TiffFile, entries: bytes) -> None:
    """Refuse an OME-TIFF without its description, which defines its axes; tifffile would go on."""
    tiff = file.tiff
    for start in range(0, len(entries) - tiff.tagsize + 1, tiff.tagsize):
        (code,) = struct.unpack_from(tiff.byteorder + "H", entries, start)
        if code == _DESCRIPTION and code not in file.pages.first.tags:
            raise InputError(path, "is incomplete: its description lies beyond its end", _AGAIN)


def _refuse_other_folders(path: Path | str, file: tifffile.TiffFile) -> None:
    xml = (file.ome_metadata or "") if file.is_ome else ""
    for name in re.findall(r"FileName\s*=\s*[\"']([^\"']*)", xml):
        if name in ("..", ".") or re.search(r"[/\\:]", name):
            raise InputError(
                path,
                f"refers to the file {name}, which is outside its folder",
                "Move that file into the folder.",
            )


def refuse_bomb(path: Path | str, page: Any) -> None:
    """Refuse a page with a deflated segment that is larger than the page allows.

    tifffile inflates a segment completely, whatever its size. A segment that could not fill
    half of the free memory in any case is not checked.
    """
    if page.compression not in _DEFLATE:
        return
    room, free = prod(page.chunks) * page.dtype.itemsize, free_memory()
    with open(path, "rb") as file:
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if count * _MOST_GROWTH <= free // 2:
                continue
            file.seek(offset)
            try:
                InflatedBytes(file).skip(room + 1)
            except EOFError:
                continue
            raise ValueError(f"a segment of page {page.index} is larger than {room} bytes")


def refuse_missing_codec(path: Path | str, page: Any) -> None:
    """Name the package that decodes a page if it is not installed.

    Raises
    ------
    BackendError
        Installing imagecodecs solves it.
    InputError
        The installed imagecodecs does not support the compression either.
    """
    from tifffile import TIFF

    for table, code in (
        (TIFF.DECOMPRESSORS, page.compression),
        (TIFF.UNPREDICTORS, page.predictor),
    ):
        try:
            table[code]
        except (KeyError, ImportError) as error:
            name = str(getattr(code, "name", f"compression {code}"))
            raise missing_codec(path, name, "imagecodecs") from error
