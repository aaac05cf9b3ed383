"""Registry of readable formats: every reader module in `napari_ulm3d/io/formats/<format>/`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.content import Reader, readable
from napari_ulm3d.io.stored.foreign import recognize
from napari_ulm3d.io.stored.links import refuse_absent

__all__ = ["known_suffixes", "reader_for", "readers"]

_HEAD_BYTES = 2048


@cache
def readers() -> tuple[Reader, ...]:
    """All formats, special ones before general ones.

    To add a format, add a folder in `napari_ulm3d/io/formats` with a module whose name ends in
    ``reader`` and that defines ``READER = Reader(...)``; nothing else has to change.
    """
    package = __name__.rpartition(".")[0]
    found = []
    for module in pkgutil.walk_packages([str(Path(__file__).parent)], f"{package}."):
        if not module.name.endswith("reader"):
            continue
        reader = getattr(importlib.import_module(module.name), "READER", None)
        if isinstance(reader, Reader):
            found.append(reader)
    return tuple(sorted(found, key=lambda reader: (reader.priority, reader.name)))


def known_suffixes() -> tuple[str, ...]:
    """File name suffixes of all formats, sorted."""
    return tuple(sorted({suffix for reader in readers() for suffix in reader.suffixes}))


def reader_for(path: Path) -> Reader:
    """Detect the format of a file or folder by its content; a wrong suffix does not matter.

    Raises
    ------
    InputError
        The path does not exist, is empty, or has no known format.
    """
    with readable(path, "a file"):
        refuse_absent(path)
        if not path.exists():
            raise InputError(path, "does not exist", "Check the name.")
        if not path.is_file() and not path.is_dir():
            raise InputError(
                path,
                "is a pipe or a device, not a file",
                "Frames are read in any order: save the data to a file first.",
            )
        head = b""
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(_HEAD_BYTES)
            if not head:
                raise InputError(
                    path,
                    "is empty (0 bytes)",
                    "The recording or copy was not completed: record or copy it again.",
                )
    for reader in readers():
        with readable(path, reader.name):
            if reader.sniff(path, head):
                return reader
    foreign = recognize(head)
    if foreign is not None:
        raise InputError(path, foreign.what, foreign.remedy)
    by_suffix = [r.name for r in readers() if path.name.lower().endswith(r.suffixes)]
    if by_suffix and path.is_dir():
        raise InputError(
            path,
            f"is a folder with a name like {by_suffix[0]}, not such a file",
            "Name the files in it.",
        )
    if by_suffix:
        raise InputError(
            path,
            f"has a name like {by_suffix[0]}, but its content does not match",
            "It may be damaged or misnamed: copy it again from the original.",
        )
    if path.suffix.lower() in (".raw", ".bin", ".dat", ".iq", ".img"):
        raise InputError(
            path,
            "has no header that states the shape and type of its numbers",
            "Read it in Python with numpy.fromfile, give it the shape (t, z, y, x) with reshape, and "
            "save it with numpy.save.",
        )
    raise InputError(
        path,
        "has an unknown format",
        f"Known formats: {', '.join(known_suffixes())}.",
    )
