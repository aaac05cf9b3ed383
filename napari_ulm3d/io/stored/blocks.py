"""Arrays with one name in a cell or struct array: consecutive blocks of one acquisition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.stored.choosing import natural_key
from napari_ulm3d.io.stored.content import Variable

__all__ = ["refuse_one_of_unlike", "with_blocks"]

#: MATLAB's index in a cell or struct array: IQ{2}, Buf(2).IQ.
_INDEX = re.compile(r"\{\d+\}|\(\d+\)")


def with_blocks(
    variables: Sequence[Variable], wanted: str | None, time_last: bool
) -> tuple[list[Variable], dict[str, tuple[Variable, ...]]]:
    """Join blocks into one array; a single block is a candidate only if requested.

    Parameters
    ----------
    variables
        Indexed names, in braces or parentheses, are elements of cell or struct arrays.
    wanted
        The requested name, as in `choose_variable`.
    time_last
        Whether time is the last axis (otherwise the first). Blocks may differ in their number of
        frames, and 2-D blocks are one frame each.

    Returns
    -------
    candidates, blocks
        Candidates, and the blocks of each joined array in the order of their indices, by its name
        without indices.
    """
    groups: dict[str, list[Variable]] = {}
    for variable in variables:
        if _INDEX.search(variable.name):
            groups.setdefault(_INDEX.sub("", variable.name), []).append(variable)
    blocks: dict[str, tuple[Variable, ...]] = {}
    wholes, members = [], set[str]()
    for name, found in groups.items():
        frames = [_frame(v, time_last) for v in found]
        if len(found) < 2 or len(set(frames)) > 1 or found[0].dtype.kind not in "iufc":
            continue
        blocks[name] = tuple(sorted(found, key=lambda v: natural_key(v.name)))
        frame, dtype = frames[0]
        n = len(found)
        if len(found[0].shape) > 2:
            n = sum(v.shape[-1 if time_last else 0] for v in found)
        shape = (*frame, n) if time_last else (n, *frame)
        wholes.append(Variable(name, shape, dtype))
        members |= {v.name for v in found}
    kept = [v for v in variables if wanted is not None or v.name not in members]
    return wholes + kept, blocks


def refuse_one_of_unlike(path: Path, chosen: Variable, candidates: Sequence[Variable]) -> None:
    """Refuse an implicitly chosen block if the others have a different shape.

    Raises
    ------
    InputError
        Arrays with three or more axes share the name of the chosen one.
    """
    name = _INDEX.sub("", chosen.name)
    alike = [v for v in candidates if len(v.shape) > 2 and _INDEX.sub("", v.name) == name]
    if name != chosen.name and len(alike) > 1:
        raise InputError(
            path,
            f"contains {len(alike)} blocks {name} that do not form a sequence: "
            + ", ".join(str(v) for v in alike[:4]),
            f"Name one with --variable, such as --variable '{chosen.name}'.",
        )


def _frame(variable: Variable, time_last: bool) -> tuple[tuple[int, ...], np.dtype[Any]]:
    shape = variable.shape
    if len(shape) > 2:
        shape = shape[:-1] if time_last else shape[1:]
    return shape, variable.dtype
