"""Meaning of stored axes: from names in the file, the format's default order, or a question.

The same rules serve every format:

* An axis with a known name keeps its meaning, wherever it is stored.
* Axes without names follow the order of the format (C order: t, z, y, x).
* Data without z, or with one voxel along z, are 2-D: the rows are depth, so y becomes z.
* An axis of length two in signed real data may be I and Q. It is used if it is named so, or if
  it is a channel axis and the values have both signs; otherwise the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from napari_ulm3d.io.stored.axes import Layout
from napari_ulm3d.io.stored.content import FileArray, StoredArray
from napari_ulm3d.io.stored.limits import check_claim, stored_bytes
from napari_ulm3d.io.stored.pairs import real_first
from napari_ulm3d.io.stored.scaled import ScaledArray

__all__ = ["C_ORDER", "letter_of", "read_layout"]

#: Usual order of three and four unnamed axes in files written by Python.
C_ORDER = {3: "tzx", 4: "tzyx"}

_NAMES = {
    "t": ("t", "time", "times", "frame", "frames", "volume", "volumes", "slowtime", "repetition"),
    "z": ("z", "depth", "axial", "ax", "depths"),
    "y": ("y", "elevation", "elevational", "elev", "ele"),
    "x": ("x", "lateral", "lat", "azimuth", "width"),
    "c": ("c", "ch", "channel", "channels", "nch"),
}
_PAIR_NAMES = (
    "iq", "complex", "ri", "reim", "realimag", "real_imag", "part", "parts", "component",
    "components", "cplx", "quadrature",
)  # fmt: skip
_LETTERS = {name: letter for letter, names in _NAMES.items() for name in names}
_LETTERS |= dict.fromkeys(_PAIR_NAMES, "c")
#: Maximum number of values probed for their sign.
_MOST_PROBED = 1 << 28


def letter_of(name: str) -> str | None:
    """The letter of ``tzyxc`` for an axis name; None for unknown names."""
    word = re.sub(r"[\s\-]+", "_", name.strip().lower())
    # A length may have a unit (x_mm), a dimension a prefix (n_frames, dim_z).
    word = re.sub(r"_?[\[(].*$|_(um|mm|m|s|ms|axis|coords?|dim|index)$", "", word)
    word = re.sub(r"^(n|num|dim|axis)_", "", word)
    return _LETTERS.get(word) or _LETTERS.get(word.replace("_", ""))


def read_layout(
    array: StoredArray,
    names: Sequence[str | None] | None = None,
    *,
    order: Mapping[int, str] = C_ORDER,
    labels: Sequence[str] = (),
    said: str = "",
) -> Layout:
    """Find the letters of an array's axes, or the question to ask.

    Parameters
    ----------
    array
        The array. One frame may be read to check whether its values are signed.
    names
        The file's name for each axis, None for an unnamed axis; None: no names at all.
    order
        Default order of three and four unnamed axes in the format.
    labels
        Labels of the elements of an axis of length two, such as I and Q.
    said
        Source of the axis names, or the assumption made, for the note.
    """
    shape = array.shape
    known = [None if name is None else letter_of(name) for name in names or [None] * len(shape)]
    if names is not None and len(names) != len(shape):
        return _question(f"names {len(names)} axes for the shape {shape}", _any_order(len(shape)))
    if not any(known) and any(n is not None for n in names or ()):
        # Meaningless names (dim_0, dim_1) are ignored.
        names = None
    pair, doubt = _pair_axis(array, names, known, labels)
    rest = [i for i in range(len(shape)) if i != pair]
    placed = _without_pair([shape[i] for i in rest], rest, names, known, order)
    full: str | None = None
    if placed is not None:
        full = _with_c(placed.letters, rest, len(shape))
    if pair is not None and doubt:
        return _ask_pair(
            array, pair, full, names, known, order, doubt, placed is not None and placed.stack
        )
    if full is None or placed is None:
        return _question(*_unnamed(shape, names, real=array.dtype.kind in "iuf"))
    taken = full.replace("_", "")
    notes = [said or f"The axes are not named and were taken as {taken}.", placed.note]
    if pair is not None:
        notes.append("Its axis of length two was taken as I and Q (c).")
    as_named = _with_c(placed.named, rest, len(shape))
    return Layout(full, " ".join(n for n in notes if n), as_named, placed.stack)


class _Placed(NamedTuple):
    """Letters of all axes but c, the file's own letters, a note, and whether a stack of one."""

    letters: str
    named: str
    note: str = ""
    stack: bool = False


def _with_c(letters: str, where: Sequence[int], n: int) -> str:
    found = dict(zip(where, letters, strict=True))
    return "".join(found.get(i, "c") for i in range(n))


def _pair_axis(
    array: StoredArray,
    names: Sequence[str | None] | None,
    known: Sequence[str | None],
    labels: Sequence[str],
) -> tuple[int | None, str]:
    """Axis of real and imaginary part, and why it needs confirmation ("": it does not)."""
    shape = array.shape
    if array.dtype.kind not in "iuf":
        return None, ""
    twos = [i for i, n in enumerate(shape) if n == 2]
    named = [i for i in twos if known[i] == "c"]
    free = [i for i in twos if known[i] is None]
    if real_first(labels) and (named or free):
        return (named or free)[-1], ""
    if named:
        name = str((names or ())[named[0]]).strip().lower()
        if letter_of(name) == "c" and name.replace("-", "_") in _PAIR_NAMES:
            return named[0], ""
        if _has_both_signs(array, named[0]):
            return named[0], ""
        return named[0], "has two channels of real numbers"
    if array.dtype.kind == "u" or not free:
        return None, ""
    # Of several axes of length two, prefer the last, then the first (MATLAB's last).
    last = len(shape) - 1
    likely = last if last in free else 0 if 0 in free else free[0]
    long_axes = sum(n > 1 for n in shape)
    if long_axes > 4 or _has_both_signs(array, likely):
        return likely, "has an axis of length two with signed real numbers, like I and Q"
    return None, ""


def _has_both_signs(array: StoredArray, pair: int) -> bool:
    """Whether values have both signs, as I and Q always do and an envelope never does."""
    others = [i for i in range(len(array.shape)) if i != pair]
    if not others or array.dtype.kind == "u" or array.dtype.kind == "b":
        return False
    file = array.stored if isinstance(array, ScaledArray) else array
    if isinstance(file, FileArray):
        # Compare a (possibly damaged) header with the file size before reading anything.
        check_claim(file.path, file.name, file.shape, file.dtype, stored_bytes(file.holder))
    axis = max(others, key=lambda i: array.shape[i])
    n = array.shape[axis]
    shape = tuple(1 if i == axis else m for i, m in enumerate(array.shape))
    if prod(shape) > _MOST_PROBED:
        return True
    for start in dict.fromkeys((0, n // 2)):
        values = np.empty(shape, np.float32)
        array.read_into(values, axis, start, start + 1)
        if values.any():  # the first frame may be empty
            return bool((values < 0).any())
    return False


def _without_pair(
    sizes: Sequence[int],
    where: Sequence[int],
    names: Sequence[str | None] | None,
    known: Sequence[str | None],
    order: Mapping[int, str],
) -> _Placed | None:
    if names is None or all(names[i] is None for i in where):
        return _unnamed_axes(sizes, order)
    letters = []
    for axis, n in zip(where, sizes, strict=True):
        letter = known[axis] if known[axis] != "c" else None
        letters.append(letter or ("_" if n == 1 else "?"))
    note = ""
    if letters.count("?") == 1 and names[where[letters.index("?")]] is None:
        place = letters.index("?")
        left = next((a for a in "tzyx" if a not in letters), "?")
        letters[place] = left
        note = f"Its unnamed axis of length {sizes[place]} was taken as {left}."
    return None if "?" in letters else _flat(letters, sizes, note)


def _unnamed_axes(sizes: Sequence[int], order: Mapping[int, str]) -> _Placed | None:
    kept = list(range(len(sizes)))
    # In a stack, the slowest axis comes first, or last in MATLAB's order.
    slow = 0 if order[4].startswith("t") else -1
    while len(kept) > 4 and (ones := [i for i in kept if sizes[i] == 1]):
        kept.remove(ones[slow])
    usual = order.get(len(kept))
    if usual is None:
        return None
    by_axis = dict(zip(kept, usual, strict=True))
    dropped = len(sizes) - len(kept)
    note = f"An axis of length one was dropped ({dropped})." if dropped else ""
    placed = _flat([by_axis.get(i, "_") for i in range(len(sizes))], sizes, note)
    single = [a for i, a in by_axis.items() if sizes[i] == 1]
    return placed._replace(stack=len(kept) == 4 and single == ["t"]) if placed else None


def _flat(letters: Sequence[str], sizes: Sequence[int], note: str) -> _Placed | None:
    """Rule for 2-D data: one voxel along y, rows are z, columns are x."""
    size = dict(zip(letters, sizes, strict=True))
    found = list(letters)
    if size.get("z", 1) == 1 and size.get("y", 1) > 1 and "x" in size:
        found = ["_" if a == "z" else "z" if a == "y" else a for a in letters]
        note += " It is a 2-D movie: rows were taken as z (depth) and columns as x."
    elif "x" not in size and size.get("y", 1) > 1 and "z" in size:
        found = ["x" if a == "y" else a for a in letters]
        note += " It is a 2-D movie along z and y; y was taken as x."
    named = [a for a in found if a != "_"]
    if len(set(named)) != len(named) or not {"z", "x"} <= set(named):
        return None
    return _Placed("".join(found), "".join(letters), note.strip())


def _ask_pair(
    array: StoredArray,
    pair: int,
    full: str | None,
    names: Sequence[str | None] | None,
    known: Sequence[str | None],
    order: Mapping[int, str],
    doubt: str,
    stack: bool,
) -> Layout:
    shape = array.shape
    with_pair = _typed(full, shape) if full else _any_order(len(shape), "c")
    problem = f"{doubt}: shape {tuple(shape)}"
    remedy = f"If this is I and Q, give --axes {with_pair} (c is the axis of I and Q)"
    if stack and full:
        movie = "".join({"z": "t", "y": "z"}.get(a, a) for a in full if a not in "t_")
        remedy += f", or --axes {movie} if the axis of length one is a stack"
    plain = _without_pair(list(shape), range(len(shape)), names, known, order)
    if plain is None:
        return _question(problem, f"{remedy}; otherwise, save one array with the axes t, z, y, x.")
    return _question(problem, f"{remedy}; otherwise, give --axes {_typed(plain.letters, shape)}.")


def _typed(letters: str, shape: Sequence[int]) -> str:
    """The letters in the form accepted by `fit_axes`, without those of dropped axes."""
    if "_" not in letters:
        return letters
    # Omit all axes of length one, or their number would not show which are meant.
    return "".join(a for a, n in zip(letters, shape, strict=True) if a != "_" and n > 1)


def _unnamed(
    shape: Sequence[int], names: Sequence[str | None] | None, *, real: bool
) -> tuple[str, str]:
    long_axes = sum(n > 1 for n in shape)
    told = [str(name) for name in names or () if name is not None]
    problem = f"has {len(shape)} axes {tuple(shape)}"
    if told:
        problem += f", named {', '.join(told)}"
    # A fifth axis can only be that of I and Q.
    if long_axes > 5 or (long_axes == 5 and not (real and 2 in shape)):
        return problem, "Save one array with the axes t, z, y, x."
    return f"{problem}, and their order is not known", _any_order(long_axes)


def _any_order(n: int, pair: str = "") -> str:
    example = {2: "zx", 3: "tzx", 4: "tzyx", 5: "tzyxc"}.get(n, "tzyx")
    if pair:
        return {3: "zxc", 4: "tzxc"}.get(n, "tzyxc")
    return (
        f"Give the stored order with --axes, such as --axes {example} (z depth, y "
        "elevation, x lateral, c: I and Q)."
    )


def _question(problem: str, remedy: str) -> Layout:
    return Layout(None, problem=problem, remedy=remedy)
