"""Complex data stored as two real halves: arrays, fields or files named I and Q, real and imag."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.content import StoredArray, Variable

__all__ = [
    "PairedArray",
    "as_numbers",
    "complex_fields",
    "find_pairs",
    "half_of",
    "name_pairs",
    "number_type",
    "real_first",
    "with_pairs",
]

#: Words for the real and the imaginary part, most specific first.
_FAMILIES = (
    ("real", "imag"),
    ("real", "imaginary"),
    ("inphase", "quadrature"),
    ("re", "im"),
    ("i", "q"),
    ("r", "i"),
)
#: Specific enough inside a longer word: mouse_IQreal.
_ANYWHERE = ("real", "imag", "imaginary", "inphase", "quadrature")


@dataclass(frozen=True)
class PairedArray:
    """Two stored arrays of equal shape as one complex array; implements `StoredArray`."""

    real: StoredArray
    imag: StoredArray

    @property
    def name(self) -> str:
        return f"{self.real.name} + i {self.imag.name}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.real.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.complex64)

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill complex `out`; see `StoredArray.read_into`."""
        self.real.read_into(out.real, axis, start, stop)
        self.imag.read_into(out.imag, axis, start, stop)


class Half(NamedTuple):
    """A parsed name: the name of the whole, the family of words, and which half it is."""

    rest: tuple[str, ...]
    family: int
    is_real: bool
    word: str


def _halves(name: str) -> Iterator[Half]:
    """All ways in which a name may denote a half."""
    for number, words in enumerate(_FAMILIES):
        for is_real, word in zip((True, False), words, strict=True):
            found = [
                match.span()
                for match in re.finditer(word, name, re.I)
                if word in _ANYWHERE or _is_word(name, *match.span())
            ]
            for start, end in found:
                yield Half((name[:start], name[end:]), number, is_real, name[start:end])
            if len(found) > 1:  # real/IQ_real.npy and imag/IQ_imag.npy
                starts, ends = zip(*found, strict=True)
                pieces = zip((0, *ends), (*starts, len(name)), strict=True)
                rest = tuple(name[a:b] for a, b in pieces)
                yield Half(rest, number, is_real, name[starts[-1] : ends[-1]])


def _is_word(name: str, start: int, end: int) -> bool:
    """Whether a part of a name is a separate word: IQ_re, IData, frameQ, i1, but not iq."""
    word = name[start:end]
    before, after = name[start - 1 : start], name[end : end + 1]
    # IReal, and Ire beside Iim: a change of case begins a word.
    camel_before = (before.islower() and word[0].isupper()) or (
        before.isupper() and word.islower() and len(word) > 1
    )
    camel_after = after.isupper() and (
        word[-1].islower() or (word.isupper() and name[end + 1 : end + 2].islower())
    )
    return (not before.isalpha() or camel_before) and (not after.isalpha() or camel_after)


def name_pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in a word for the real and the imaginary part.

    Each name is in one pair at most; real part first, in the given order.
    """
    found: dict[tuple[int, tuple[str, ...]], dict[bool, str]] = {}
    for name in names:
        for half in _halves(name):
            sides = found.setdefault((half.family, half.rest), {})
            sides.setdefault(half.is_real, name)
    used: set[str] = set()
    pairs = []
    for _, sides in sorted(found.items(), key=lambda item: item[0][0]):
        if len(sides) == 2 and not used & set(sides.values()):
            used |= set(sides.values())
            pairs.append((sides[True], sides[False]))
    place = {name: i for i, name in enumerate(names)}
    return sorted(pairs, key=lambda pair: min(place[pair[0]], place[pair[1]]))


def half_of(name: str) -> tuple[str, str] | None:
    """The half that a single name denotes, and the name of the other; None for other names."""
    for half in _halves(name):
        words = _FAMILIES[half.family]
        if words == ("r", "i") or len(half.rest) > 2:
            continue
        other = words[half.is_real]
        other = other.upper() if half.word.isupper() else other
        other = other.capitalize() if half.word.istitle() and len(half.word) > 1 else other
        left, right = half.rest
        return ("real" if half.is_real else "imaginary"), f"{left}{other}{right}"
    return None


def real_first(labels: Sequence[str]) -> bool:
    """Whether two labels name the real and the imaginary part, in this order."""
    return len(labels) == 2 and tuple(_plain(label) for label in labels) in _FAMILIES


def _plain(label: str) -> str:
    return re.sub(r"[^a-z]", "", label.lower())


def find_pairs(variables: Sequence[Variable]) -> dict[str, tuple[Variable, Variable]]:
    """Find pairs of arrays that are real and imaginary part, by the name of the whole.

    The names differ only in a word such as ``real``/``imag``, ``re``/``im`` or ``I``/``Q``.
    """
    real = {v.name: v for v in variables if v.dtype.kind in "iuf" and len(v.shape) >= 2}
    pairs = {}
    for one, other in name_pairs(real):
        if real[one].shape == real[other].shape:
            pairs[_whole(one, other)] = (real[one], real[other])
    return pairs


def _whole(one: str, other: str) -> str:
    """Name of the whole: IQ for IQ_real and IQ_imag, IQData for IData and QData."""
    for half in _halves(one):
        if not half.is_real or not any(
            h.rest == half.rest and h.family == half.family and not h.is_real
            for h in _halves(other)
        ):
            continue
        *before, right = half.rest
        left = half.word.join(before)
        if _FAMILIES[half.family] == ("i", "q"):
            return f"{left}IQ{right}" if half.word.isupper() else f"{left}iq{right}"
        # The separator goes with the removed word: the one before it, or after it at the start.
        kept = re.sub(r"[_.\-]$", "", left)
        right = right if kept != left else re.sub(r"^[_.\-]", "", right)
        return (kept + right).rstrip("/") or "real+imag"
    return f"{one}+{other}"


def with_pairs(
    variables: Sequence[Variable], wanted: str | None
) -> tuple[list[Variable], dict[str, tuple[Variable, Variable]]]:
    """Join pairs into complex arrays; a single half is a candidate only if requested."""
    pairs = find_pairs(variables)
    halves = {half.name for pair in pairs.values() for half in pair}
    wholes = [
        Variable(name, real.shape, np.dtype(np.complex64)) for name, (real, _) in pairs.items()
    ]
    kept = [v for v in variables if wanted is not None or v.name not in halves]
    return wholes + kept, pairs


def complex_fields(dtype: np.dtype[Any]) -> tuple[str, str] | None:
    """Names of the real and imaginary fields of a compound dtype; None for other dtypes."""
    names = dtype.names or ()
    if len(names) != 2 or any(dtype[name].kind not in "iuf" for name in names):
        return None
    first, second = names
    if real_first((first, second)):
        return first, second
    if real_first((second, first)):
        return second, first
    found = name_pairs(names)
    return found[0] if found else None


def number_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The numeric dtype: complex for a compound of real and imaginary part."""
    fields = complex_fields(dtype)
    if fields is None:
        return dtype
    wide = any(dtype[name].itemsize > 4 for name in fields)
    return np.dtype(np.complex128 if wide else np.complex64)


def as_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Compound values as complex numbers: a view if the memory layout allows, else a copy."""
    fields = complex_fields(values.dtype)
    if fields is None:
        return values
    target = number_type(values.dtype)
    half = np.dtype(f"f{target.itemsize // 2}")
    if values.dtype == np.dtype([(fields[0], half), (fields[1], half)]):
        return values.view(target)
    numbers = np.empty(values.shape, target)
    numbers.real, numbers.imag = values[fields[0]], values[fields[1]]
    return numbers
