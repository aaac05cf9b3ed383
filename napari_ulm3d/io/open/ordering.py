"""Order of files that contain their own position in a series (DICOM), and copies among files."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.open.opening import Opened

__all__ = ["by_place", "refuse_copies"]

#: Ends of names that browsers and file managers give to a copy: "IQ (1)", "IQ_copy", "IQ - Kopie".
_COPY = re.compile(r"(?: ?\(\d+\)|[ _-]+(?:copy|kopie|copie)(?: ?\(?\d+\)?)?)$", re.IGNORECASE)
_COMPARED_BYTES = 1 << 16


def refuse_copies(files: Sequence[Path]) -> None:
    """Refuse a copy beside its original: its frames would count twice.

    Only files with the name of a copy are compared, by size and by samples of their contents.

    Raises
    ------
    InputError
        A file is a copy of another one by name and content.
    """
    by_name = {(path.parent, path.name): path for path in files}
    for path in files:
        original = by_name.get((path.parent, _COPY.sub("", path.stem) + path.suffix))
        if original is None or original == path or not (path.is_file() and original.is_file()):
            continue
        if _samples(path) == _samples(original):
            raise InputError(
                path, f"is a copy of {original.name}", "Leave one of them out, or delete it."
            )


def _samples(path: Path) -> tuple[int, bytes, bytes, bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        found = []
        for start in (0, size // 2, max(0, size - _COMPARED_BYTES)):
            file.seek(start)
            found.append(file.read(_COMPARED_BYTES))
    return (size, found[0], found[1], found[2])


def by_place(opened: Sequence[Opened]) -> tuple[list[Opened], str]:
    """Sort files by their number (DICOM's InstanceNumber), with a note.

    File names are often unique identifiers rather than in order, so the number takes precedence.
    Without numbers, the given order is kept.

    Raises
    ------
    InputError
        Single frames belong to several series, or two have the same number.
    """
    files = list(opened)
    places = [file.content.place for file in files]
    if len(files) < 2 or all(place is None for place in places):
        return files, ""
    names = "The file names determine the order"
    if any(place is None for place in places):
        count = places.count(None)
        return files, f"{names}: {count} of {len(files)} have no InstanceNumber."
    single = all(sum(s.shape[0] for s in file.sources) == 1 for file in files)
    series = Counter(file.content.series for file in files)
    if len(series) > 1:
        if single:
            raise InputError(
                files[0].path.parent,
                f"contains single frames of {len(series)} series (SeriesInstanceUID)",
                "Put each series into its own folder and open one of them.",
            )
        return files, f"{names}: the files belong to {len(series)} series."
    by_number = sorted(files, key=lambda file: file.content.place or 0)
    numbers = [file.content.place or 0 for file in by_number]
    for one, other in itertools.pairwise(by_number):
        if one.content.place == other.content.place:
            if not single:
                return files, f"{names}: an InstanceNumber occurs twice."
            raise InputError(
                other.path,
                f"has InstanceNumber {other.content.place}, as does {one.path.name}",
                "Leave one of the two out.",
            )
    note = "The files are ordered by InstanceNumber."
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    usual = min(steps)
    lost = [n + usual for n, step in zip(numbers, steps, strict=False) if step != usual]
    if lost:
        shown = ", ".join(map(str, lost[:5])) + (" and others" if len(lost) > 5 else "")
        note += (
            f" There are gaps at {shown}: frames seem to be missing, and speeds across a gap "
            "will be wrong."
        )
    return by_number, note
