"""Complex data stored as two real arrays, such as ``IQ_real`` and ``IQ_imag``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.content import StoredArray, Variable

__all__ = ["PairedArray", "find_pairs", "with_pairs"]

_SUFFIX = re.compile(r"^(?P<stem>.*?)(?P<sep>[_.\-]?)(?P<part>real|imag|re|im|i|q)$", re.I)
_PREFIX = re.compile(r"^(?P<part>real|imag|re|im|i|q)(?P<sep>[_.\-]?)(?P<stem>.*)$", re.I)
_FAMILY = {"real": 0, "imag": 0, "re": 1, "im": 1, "i": 2, "q": 2}
_IS_REAL = {"real": True, "re": True, "i": True, "imag": False, "im": False, "q": False}


@dataclass(frozen=True)
class PairedArray:
    """Two stored arrays of one shape read as one complex array; implements `StoredArray`."""

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


def find_pairs(variables: Sequence[Variable]) -> dict[str, tuple[Variable, Variable]]:
    """Pairs of arrays that are real and imaginary part of one, by the name of the whole.

    The names differ only in ``real``/``imag``, ``re``/``im`` or ``i``/``q`` at their end or
    start (the short ones set off by ``_``, ``.`` or ``-``, or the whole name).
    """
    halves: dict[tuple[str, str, int], dict[bool, Variable]] = {}
    for variable in variables:
        if variable.dtype.kind not in "iuf" or len(variable.shape) < 2:
            continue
        parent, slash, leaf = variable.name.rpartition("/")
        for pattern in (_SUFFIX, _PREFIX):
            match = pattern.match(leaf)
            if match is None:
                continue
            part, stem = match["part"].lower(), match["stem"]
            if stem and not match["sep"] and len(part) < 3:
                continue
            whole = parent + slash + stem if stem else parent or "real+imag"
            key = (whole, pattern.pattern, _FAMILY[part])
            halves.setdefault(key, {})[_IS_REAL[part]] = variable
            break
    return {
        whole: (found[True], found[False])
        for (whole, *_), found in halves.items()
        if len(found) == 2 and found[True].shape == found[False].shape
    }


def with_pairs(
    variables: Sequence[Variable], wanted: str | None
) -> tuple[list[Variable], dict[str, tuple[Variable, Variable]]]:
    """The arrays to choose from: pairs as complex wholes, halves only when asked for."""
    pairs = find_pairs(variables)
    halves = {half.name for pair in pairs.values() for half in pair}
    wholes = [
        Variable(name, real.shape, np.dtype(np.complex64)) for name, (real, _) in pairs.items()
    ]
    kept = [v for v in variables if wanted is not None or v.name not in halves]
    return wholes + kept, pairs
