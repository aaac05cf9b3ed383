"""Cell and struct arrays of MATLAB v7.3: datasets of references to their contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py

from napari_ulm3d.io.facts.named import plain
from napari_ulm3d.io.stored.content import Variable
from napari_ulm3d.io.stored.pairs import number_type

__all__ = ["in_cells", "is_references"]

_MOST_ELEMENTS, _MOST_DEPTH = 4096, 4


def is_references(data: h5py.Dataset) -> bool:
    """Whether a dataset holds references to objects, as a cell array does."""
    return h5py.check_ref_dtype(data.dtype) is h5py.Reference


def in_cells(file: h5py.File) -> dict[str, tuple[Variable, str]]:
    """Find numeric arrays in cell and struct arrays, with their datasets, by MATLAB name.

    Elements are numbered from 1 in MATLAB's order: ``IQ{2}``, ``Buf(2)/IQ``.
    """
    found: dict[str, tuple[Variable, str]] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#") and is_references(item):
            found.update(_elements(file, name, item, _MOST_DEPTH))

    file.visititems(visit)
    return found


def _elements(
    file: h5py.File, name: str, data: h5py.Dataset, depth: int
) -> Iterator[tuple[str, tuple[Variable, str]]]:
    if not data.shape or data.size > _MOST_ELEMENTS or data.is_virtual or data.external:
        return
    is_cell = plain(data.attrs.get("MATLAB_class")) == "cell"
    above, _, field = name.rpartition("/")
    # References are stored with the axes reversed, so C order is MATLAB's numbering.
    for number, reference in enumerate(data[()].reshape(-1), start=1):
        if not reference:
            continue
        of_struct = above and not is_cell
        label = f"{above}({number})/{field}" if of_struct else f"{name}{{{number}}}"
        yield from _targets(file, label, file[reference], depth - 1)


def _targets(
    file: h5py.File, label: str, target: Any, depth: int
) -> Iterator[tuple[str, tuple[Variable, str]]]:
    if target.name is None or depth < 0:
        return
    if isinstance(target, h5py.Group):
        for name in target:
            if isinstance(target.get(name, getlink=True), h5py.HardLink):
                yield from _targets(file, f"{label}/{name}", target[name], depth - 1)
    elif is_references(target):
        yield from _elements(file, label, target, depth)
    elif target.shape and target.ndim >= 2 and "MATLAB_empty" not in target.attrs:
        variable = Variable(label, tuple(target.shape), number_type(target.dtype))
        if variable.dtype.kind in "iufc":
            yield label, (variable, str(target.name).lstrip("/"))
