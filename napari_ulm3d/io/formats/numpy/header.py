"""Common parts of ``.npy`` and ``.npz`` files: the header, and axes and facts by name."""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from napari_ulm3d.io.facts.named import facts_from_names, plain, plain_values, texts
from napari_ulm3d.io.stored.content import Content, StoredArray, Variable, full_scale
from napari_ulm3d.io.stored.layout import read_layout

__all__ = ["npy_content", "read_header"]


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran-order flag and dtype; leaves the file at the first element."""
    version = np.lib.format.read_magic(file)
    if version[0] == 1:
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def npy_content(
    array: StoredArray,
    chosen: Variable,
    why: str,
    variables: tuple[Variable, ...],
    values: dict[str, Any],
) -> Content:
    """Content of an array, with facts from the small `values` beside it."""
    facts, notes = facts_from_names(values, chosen.shape)
    named, labels = plain(values.get("axes", "")), values.get("labels", ())
    names, said = None, ""
    if isinstance(named, str) and len(named) == len(chosen.shape):
        names, said = list(named.lower()), f"The file names the axes: {named.lower()}."
    return Content(
        arrays=(array,),
        variable=chosen.name,
        why=why,
        layout=read_layout(array, names, labels=texts(labels), said=said),
        facts=facts,
        variables=variables,
        notes=tuple(notes),
        metadata=plain_values(values),
        full_scale=full_scale(chosen.dtype),
    )
