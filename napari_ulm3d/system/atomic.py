"""Files and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from napari_ulm3d.errors import ResultsError

__all__ = ["atomic_path", "is_workplace", "refuse_unprintable", "remove_leftovers"]

_WORKPLACE = re.compile(r"\..+\.[0-9a-f]{8}\.part")


@contextmanager
def atomic_path(path: str | PathLike[str]) -> Iterator[Path]:
    """A temporary path to write to, moved to `path` if the `with` block succeeds.

    It has the same file name, in a hidden folder beside `path`. Nothing exists there yet; it may
    become a file or a folder. Anything at `path` is replaced in one step (a folder is moved
    aside, then removed). If the block raises, the new data are removed and `path` is left
    unchanged. The data are flushed to disk, not only to the system's cache, before they get their
    final name: even after a power failure they are complete or absent.

    Raises
    ------
    ResultsError
        The folder is missing or not writable, the disk is full, or another error of the
        operating system occurred while writing.
    """
    target = Path(path)
    refuse_unprintable(target)
    if not target.parent.is_dir():
        raise ResultsError(f"{target}: the folder {target.parent} does not exist. Create it first.")
    workplace = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        workplace.mkdir()
        try:
            yield workplace / target.name
            _to_disk(workplace / target.name)
            _move(workplace / target.name, target, aside=workplace / ".replaced")
            _sync(target.parent)
        finally:
            shutil.rmtree(workplace)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResultsError(
            f"{target}: cannot be written ({reason}). Choose a folder that you may write to, "
            "on a disk with enough space."
        ) from error


def refuse_unprintable(path: Path) -> None:
    """Refuse a path that is not UTF-8, which Parquet and HDF5 cannot write to.

    Such a path comes from another system, or its characters are unknown in the locale.

    Raises
    ------
    ResultsError
        The path is not UTF-8.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise ResultsError(
            f"{shown}: this path is not UTF-8, so results cannot be written to it. Use another "
            "path, or set PYTHONUTF8=1 if your terminal shows it correctly."
        ) from error


def is_workplace(path: Path) -> bool:
    """Whether this is the temporary folder of an active or killed writer."""
    return bool(_WORKPLACE.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()


def remove_leftovers(folder: str | PathLike[str]) -> None:
    """Remove the temporary folders of killed writers; no writer may be active in the folder."""
    for path in Path(folder).glob(".*.part"):
        if is_workplace(path):
            shutil.rmtree(path, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Flush a file, or all of a folder, to disk."""
    if path.is_dir():
        for inner in sorted(path.rglob("*"), reverse=True):
            _sync(inner)
    _sync(path)


def _sync(path: Path) -> None:
    if os.name != "posix" and path.is_dir():  # Windows cannot open folders
        return
    # Windows only flushes files that are open for writing.
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush folders; the files are safe in that case.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


def _move(temporary: Path, target: Path, aside: Path) -> None:
    # A folder cannot replace a non-empty folder, and files and folders cannot replace each other.
    folder = target.is_dir() and not target.is_symlink()
    if folder or (temporary.is_dir() and target.exists()):
        os.replace(target, aside)
        try:
            os.replace(temporary, target)
        except OSError:
            os.replace(aside, target)
            raise
    else:
        os.replace(temporary, target)
