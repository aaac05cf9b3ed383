"""A copy of the package, of links, with one more file in one of its folders."""

from __future__ import annotations

from pathlib import Path

import napari_ulm3d

PACKAGE = Path(napari_ulm3d.__file__).parent


def drop_in(folder: Path, *parts: str, file: Path) -> Path:
    """The folder to import from; `file` lies in the folder ``napari_ulm3d/<parts>``."""
    here, there = PACKAGE, folder / "napari_ulm3d"
    for part in (*parts, None):
        there.mkdir(parents=True)
        for entry in here.iterdir():
            if entry.name != part:
                (there / entry.name).symlink_to(entry)
        if part is not None:
            here, there = here / part, there / part
    (there / file.name).write_text(file.read_text())
    return folder
