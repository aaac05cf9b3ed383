"""Expand files, folders and patterns to a list of files in temporal order."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.sidecar import SIDECAR_NAME
from napari_ulm3d.io.formats.registry import known_suffixes, reader_for
from napari_ulm3d.io.stored.choosing import natural_key
from napari_ulm3d.io.stored.content import readable

__all__ = ["AnyPath", "find_files"]

AnyPath = str | PathLike[str]


def find_files(paths: AnyPath | Sequence[AnyPath]) -> list[Path]:
    """Expand paths, folders and patterns to files, in temporal order."""
    if isinstance(paths, str | PathLike):
        paths = [paths]
    files: list[Path] = []
    for given in paths:
        path = Path(given)
        if not path.exists() and glob.has_magic(fspath(given)):
            matches = sorted(glob.glob(_pattern(path)), key=natural_key)
            if not matches:
                raise InputError(given, "matches no file", "Check the pattern.")
            files += [Path(match) for match in matches if Path(match).name != SIDECAR_NAME]
        elif path.is_dir() and not _is_store(path):
            files += _files_in(path)
        else:
            files.append(path)
    if not files:
        raise InputError(None, "No file was named", "Name a file, a folder or a pattern.")
    return files


def _pattern(path: Path) -> str:
    """Escape the existing folders of a pattern, so that brackets in their names are literal."""
    home = next(folder for folder in path.parents if folder.exists() or folder == Path(path.anchor))
    return fspath(Path(glob.escape(fspath(home)), path.relative_to(home)))


def _is_store(path: Path) -> bool:
    try:
        reader_for(path)
    except InputError:
        return False
    return True


def _subfolders(inside: Sequence[Path], suffixes: Sequence[str]) -> str:
    """Advice to name a subfolder with such files, if there is one."""
    found = []
    for path in sorted(inside, key=lambda path: natural_key(path.name)):
        try:
            names = [each.name.lower() for each in path.iterdir()] if path.is_dir() else []
        except OSError:  # a folder that may not be looked into is not advised
            continue
        if any(name.endswith(tuple(suffixes)) and not name.startswith(".") for name in names):
            found.append(path.name)
    if not found:
        return ""
    if len(found) == 1:
        return f"Name its subfolder {found[0]}, which has some."
    more = " and others" if len(found) > 3 else ""
    return f"Name one of its subfolders, which have some: {', '.join(found[:3])}{more}."


def _by_content(inside: Sequence[Path]) -> list[Path]:
    """Files of the most frequent format by content, such as DICOM files without a suffix."""
    by_format: dict[str, list[Path]] = {}
    for path in sorted(inside, key=lambda path: natural_key(path.name)):
        if path.name.startswith(".") or not path.is_file() or path.name.upper() == "DICOMDIR":
            continue
        try:
            by_format.setdefault(reader_for(path).name, []).append(path)
        except InputError:  # other files, such as a text of remarks
            continue
    return max(by_format.values(), key=len, default=[])


def _files_in(folder: Path) -> list[Path]:
    """The files in a folder that have a known suffix; all must have the same one."""
    suffixes = known_suffixes()
    by_suffix: dict[str, list[Path]] = {}
    with readable(folder, "a folder"):
        inside = list(folder.iterdir())
    for path in inside:
        name = path.name.lower()
        if name.startswith(".") or name == SIDECAR_NAME:
            continue
        endings = [suffix for suffix in suffixes if name.endswith(suffix)]
        if endings:
            by_suffix.setdefault(max(endings, key=len), []).append(path)
    if not by_suffix and (unnamed := _by_content(inside)):
        return unnamed
    if not by_suffix:
        raise InputError(
            folder,
            "is a folder without acquisition files",
            _subfolders(inside, suffixes) or f"Known files end in {', '.join(suffixes)}.",
        )
    if len(by_suffix) > 1:
        counts = " and ".join(f"{len(found)} {suffix}" for suffix, found in by_suffix.items())
        raise InputError(
            folder, f"contains files of several kinds: {counts}", "Select one kind with a pattern."
        )
    (found,) = by_suffix.values()
    return sorted(found, key=lambda path: natural_key(path.name))
