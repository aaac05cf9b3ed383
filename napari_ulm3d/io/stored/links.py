"""Links on disk: followed within a dataset, refused if they lead elsewhere.

A header or folder from somebody else must not expose other files on this computer. But
git-annex and DataLad store every file as a link into ``.git/annex/objects`` of a parent folder,
DVC into ``.dvc/cache``, and BIDS datasets link derivatives to their raw files.
"""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

from napari_ulm3d.errors import InputError

__all__ = ["beside", "refuse_absent", "within_dataset"]

#: Marks of the top folder of a dataset.
_MARKS = (".git/annex", ".datalad", ".dvc", "dataset_description.json")
_POINTER = b"/annex/objects/"


def within_dataset(home: Path, item: Path) -> bool:
    """Whether `item`, with links resolved, lies in the folder `home` or its dataset.

    The dataset is the nearest parent folder that contains ``.git/annex``, ``.datalad``, ``.dvc`` or
    ``dataset_description.json``. The store of git-annex is part of it, wherever it is
    (in a subdataset, ``.git`` leads to the parent repository).
    """
    target, home = item.resolve(), home.resolve()
    if target.is_relative_to(home):
        return True
    for folder in (home, *home.parents):
        git = _git_folder(folder)
        marked = any((folder / mark).exists() for mark in _MARKS)
        if git is not None and (git / "annex").is_dir():
            marked = True
            if target.is_relative_to((git / "annex" / "objects").resolve()):
                return True
        if marked:
            return target.is_relative_to(folder)
    return False


def _git_folder(folder: Path) -> Path | None:
    """The git folder of a working tree, also if ``.git`` is a file that points to it."""
    git = folder / ".git"
    if git.is_file():
        try:
            text = git.read_text(encoding="utf-8", errors="replace")[:4096]
        except OSError:
            return None
        named = text.partition("gitdir:")[2].strip()
        return (folder / named) if named else None
    return git if git.is_dir() else None


def beside(header: Path, named: str) -> Path:
    """The data file named in a header, which must lie in the header's folder or its dataset.

    If the header itself is a link, the folder of its target is searched as well.

    Raises
    ------
    InputError
        The name leads out of the folder, the file is a link out of the dataset, or it does
        not exist.
    """
    homes = dict.fromkeys((header.parent, header.resolve().parent))
    found = None
    for home in homes:
        data = home / named
        # Check the name itself, before resolving links.
        inside = Path(os.path.abspath(data)).is_relative_to(os.path.abspath(home))
        if not (inside or data.resolve().is_relative_to(home.resolve())):
            raise InputError(
                header,
                f"refers to the data file {named}, which is outside its folder",
                "Put the data file beside it and correct the name in the header.",
            )
        if not within_dataset(home, data):
            raise InputError(
                header,
                f"refers to the data file {named}, a link to {data.resolve()} outside its folder",
                "Replace the link by the file itself (cp -L).",
            )
        if found is None and data.is_file():
            found = data
    if found is None and "\\" in named and not PureWindowsPath(named).drive:
        return beside(header, named.replace("\\", "/"))
    if found is None:
        refuse_absent(header.parent / named)
        raise InputError(
            header,
            f"refers to the data file {named}, which is missing",
            _nearly(header.parent, named) or "Copy that file too.",
        )
    return found


def _nearly(home: Path, named: str) -> str:
    """Advice to correct a name that differs in case, or has the folder of another computer."""
    leaf = PureWindowsPath(named).name
    for item in sorted(home.iterdir()):
        if item.name.lower() == leaf.lower() and item.is_file():
            return f"Write {item.name} in its header in place of {named}: this file is beside it."
    return ""


def refuse_absent(path: Path) -> None:
    """Report a broken link, or a file that git-annex has replaced by a pointer.

    Raises
    ------
    InputError
        The path is such a link or pointer.
    """
    target = ""
    if path.is_symlink() and not path.exists():
        target = os.readlink(path)
        if "annex" not in Path(target).parts:
            raise InputError(
                path, f"is a link to {target}, which is missing", "Copy that file too."
            )
    elif path.is_file() and path.stat().st_size < 32768:
        with path.open("rb") as file:
            target = "annex" if file.read(len(_POINTER)) == _POINTER else ""
    if target:
        raise InputError(
            path,
            "is managed by git-annex and its content is not on this computer",
            f"Fetch it: datalad get '{path}' (or git annex get).",
        )
