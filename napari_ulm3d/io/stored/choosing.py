"""Choose the array in a file that is the acquisition: by request, by known name, or the largest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.content import Variable

__all__ = ["KNOWN_NAMES", "choose_variable", "is_movie", "natural_key"]

#: Names of the acquisition in laboratories' files, most specific first, in lower case.
KNOWN_NAMES = (
    "iq",
    "iqsvdfiltered",
    "compound_image",
    "corrmap",
    "iq_data",
    "iqdata",
    "iqfilt",
    "iq_filt",
    "iqblock",
    "bfdata",
    "frames",
)


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sorting key with numerical order: IQ2 before IQ10."""
    parts = re.split(r"(\d+)", text.lower())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in parts if p)


def is_movie(variable: Variable) -> bool:
    """Whether an array may be an acquisition: numeric, 3 or 4 axes, or 5 with an axis of two."""
    long_axes = [n for n in variable.shape if n > 1]
    return (
        variable.dtype.kind in "iufc"
        and variable.size > 0
        and len(variable.shape) >= 3
        and (2 <= len(long_axes) <= 4 or (len(long_axes) == 5 and 2 in long_axes))
    )


def choose_variable(
    path: Path, variables: Sequence[Variable], wanted: str | None
) -> tuple[Variable, str]:
    """Choose the array to read, with the reason.

    Parameters
    ----------
    wanted
        The requested name, or its last part; case matters only to distinguish two names.
        None: an array with a known name, otherwise the largest with 3 or 4 axes.

    Raises
    ------
    InputError
        Nothing fits, or several arrays fit equally well; the message lists the arrays.
    """
    listing = "; ".join(str(v) for v in variables[:12]) or "no arrays"
    if len(variables) > 12:
        listing += f"; and {len(variables) - 12} more"
    if wanted is not None:
        return _named(path, variables, wanted, listing), "named in the settings"
    movies = [v for v in variables if is_movie(v)]
    for name in KNOWN_NAMES:
        known = [v for v in movies if _leaf(v.name).lower() == name]
        if len(known) == 1:
            return known[0], "a known name"
        if known:
            _ambiguous(path, known)
    if not movies:
        # An array with another number of axes may be the one; the user is asked for its axes.
        numbers = [v for v in variables if v.dtype.kind in "iufc" and _is_plane(v.shape)]
        if len(numbers) == 1:
            return numbers[0], "the only array"
        raise InputError(
            path,
            f"has no array with 3 or 4 axes (it contains {listing})",
            (
                "Name the array with --variable; if you are then asked for its axes, give them "
                "with --axes."
            )
            if numbers
            else "Save the frames as one array of numbers with the axes t, z, y, x.",
        )
    largest = max(v.size for v in movies)
    ties = [v for v in movies if v.size == largest]
    if len(ties) > 1:
        _ambiguous(path, ties)
    return ties[0], "the largest array with 3 or 4 axes"


def _is_plane(shape: Sequence[int]) -> bool:
    return min(shape, default=0) > 0 and sum(n > 1 for n in shape) >= 2


def _named(path: Path, variables: Sequence[Variable], wanted: str, listing: str) -> Variable:
    key = _parts(wanted)
    rules = (
        lambda v: v.name == wanted,
        lambda v: _parts(v.name) == key,
        lambda v: [p.lower() for p in _parts(v.name)] == [p.lower() for p in key],
        lambda v: _parts(v.name)[-len(key) :] == key,
        lambda v: [p.lower() for p in _parts(v.name)[-len(key) :]] == [p.lower() for p in key],
    )
    for rule in rules:
        found = [v for v in variables if rule(v)]
        if len(found) == 1:
            return found[0]
        if found:
            _ambiguous(path, found)
    raise InputError(path, f"has no array '{wanted}' (it contains {listing})", "Name one of these.")


def _ambiguous(path: Path, candidates: Sequence[Variable]) -> NoReturn:
    names = ", ".join(v.name for v in candidates[:12])
    raise InputError(
        path,
        f"contains {len(candidates)} arrays that may be the acquisition: {names}",
        "Name one with --variable.",
    )


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[./]", name) if part] or [name]


def _leaf(name: str) -> str:
    return _parts(name)[-1]
