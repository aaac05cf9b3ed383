"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from napari_ulm3d.errors import ResultsError

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: str | PathLike[str]) -> Iterator[Path]:
    """A temporary place to write to, moved onto `path` when the block ends well.

    The place has the same file name, in a hidden folder beside `path`; nothing is there yet,
    and it may be made a file or a folder. Whatever stood at `path` is replaced in one step
    (a folder: moved aside, then removed). If the block raises, what was written is removed
    and `path` is as it was.

    Raises
    ------
    ResultsError
        The folder is missing or may not be written to, the disk is full, or any other
        error of the operating system while writing.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ResultsError(f"{target}: the folder {target.parent} does not exist. Create it first.")
    workplace = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        workplace.mkdir()
        try:
            yield workplace / target.name
            _move(workplace / target.name, target, aside=workplace / ".replaced")
        finally:
            shutil.rmtree(workplace)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResultsError(
            f"{target}: cannot be written ({reason}). "
            "Choose a folder that you may write to, with room on its disk."
        ) from error


def _move(temporary: Path, target: Path, aside: Path) -> None:
    # Neither can a folder replace a full folder, nor either a thing of the other kind.
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
