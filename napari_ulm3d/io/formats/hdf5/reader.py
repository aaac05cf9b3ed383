"""HDF5 files: MATLAB v7.3, known laboratory layouts, and any file with one large array.

Known layouts
-------------
* MATLAB v7.3: axes are reversed, MATLAB [z, x, y, t] (Open-3DULM) is read as (t, y, x, z).
* Ultratrace: ``acquisitions/<id>/meta/compound_image`` (frame, elevation, z, x).
* SparseTensorULM: groups ``1``, ``2``, ... with ``CorrMap`` (t, z, y, x, part), each group
  being one block.
* zea: ``data/beamformed_data`` (frame, z, x, channel), the channels I and Q.
* netCDF and xarray: axes named by their dimension scales, in any order.
* Others: (t, z, y, x) or (t, z, x).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_ulm3d.io.facts.coordinates import AlongAxes, along_axes
from napari_ulm3d.io.facts.named import facts_from_names, plain_values
from napari_ulm3d.io.formats.hdf5.array import (
    H5Array,
    attributes_above,
    list_datasets,
    small_values,
)
from napari_ulm3d.io.formats.hdf5.described import coordinates, naming
from napari_ulm3d.io.formats.hdf5.safety import dataset_within, refuse_links_only
from napari_ulm3d.io.stored.blocks import refuse_one_of_unlike, with_blocks
from napari_ulm3d.io.stored.choosing import choose_variable, natural_key
from napari_ulm3d.io.stored.content import Content, Reader, StoredArray, Variable, full_scale
from napari_ulm3d.io.stored.layout import read_layout
from napari_ulm3d.io.stored.pairs import PairedArray, with_pairs
from napari_ulm3d.io.stored.scaled import ScaledArray, packing_notes, unpacked

__all__ = ["READER"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Arrays that recur in numbered groups, each a part of the same acquisition.
_SERIES = ("corrmap", "compound_image")
_METADATA_ENTRIES = 60


def _sniff(path: Path, head: bytes) -> bool:
    # A user block of 512, 1024, ... bytes may precede the signature.
    return any(head[offset : offset + 8] == _SIGNATURE for offset in (0, 512, 1024, 2048 - 8))


def _list(path: Path) -> tuple[Variable, ...]:
    import h5py

    from napari_ulm3d.io.formats.hdf5.cells import in_cells

    with h5py.File(path, "r") as file:
        return (*list_datasets(file), *(v for v, _ in in_cells(file).values()))


def _open(path: Path, variable: str | None) -> Content:
    import h5py

    from napari_ulm3d.io.formats.hdf5.cells import in_cells

    with h5py.File(path, "r") as file:
        cells = in_cells(file)
        variables = [*list_datasets(file), *(v for v, _ in cells.values())]
        if not variables:
            refuse_links_only(file)
        where = {name: dataset for name, (_, dataset) in cells.items()}
        candidates, pairs = with_pairs(variables, variable)
        candidates, blocks = with_blocks(candidates, variable, time_last=False)
        series = _series(candidates) if variable is None else []
        if series:
            chosen, why = series[0], f"{len(series)} numbered groups contain one"
        else:
            chosen, why = choose_variable(path, candidates, variable)
            series = list(blocks.get(chosen.name, (chosen,)))
            if variable is None:
                refuse_one_of_unlike(path, chosen, candidates)
        one = series[0]
        arrays = tuple(_stored(file, path, v, pairs, where) for v in series)
        parts = [where.get(v.name, v.name) for v in pairs.get(one.name, (one,))]
        for part in parts:
            dataset_within(file, part)
        named = naming(file, path, one, parts[0])
        order = {2: "xz", **named.order} if len(series) > 1 else named.order
        layout = read_layout(
            arrays[0], named.names, order=order, labels=named.labels, said=named.said
        )
        values = small_values(file)
        values |= attributes_above(file, parts[0])
        facts, notes = facts_from_names(values, chosen.shape)
        along = AlongAxes()
        if layout.letters is not None:
            vectors = coordinates(file, one, parts[0], layout.names)
            along = along_axes(layout.letters, vectors)
    if facts.voxel_um is not None or facts.voxel_wavelengths is not None:
        along = replace(along, spacing_um=None, first_um=None)
    facts = replace(facts, rate_hz=facts.rate_hz or along.rate_hz)
    notes += along.notes
    if chosen.name in blocks:
        notes.append(f"The {len(series)} elements of {chosen.name} are consecutive blocks.")
    elif len(series) > 1:
        notes.append(f"The {len(series)} groups with {_leaf(chosen.name)} are consecutive blocks.")
    notes += packing_notes(arrays[0])
    white = full_scale(chosen.dtype)
    if white is not None and isinstance(arrays[0], ScaledArray):
        white = arrays[0].value(white)
    texts = plain_values(values)
    return Content(
        arrays=arrays,
        variable=chosen.name,
        why=why,
        layout=layout,
        facts=facts,
        spacing_um=along.spacing_um,
        first_um=along.first_um,
        variables=tuple(variables),
        notes=tuple(notes),
        metadata=dict(list(texts.items())[:_METADATA_ENTRIES]),
        full_scale=white,
    )


def _series(candidates: list[Variable]) -> list[Variable]:
    for name in _SERIES:
        found = [v for v in candidates if _leaf(v.name).lower() == name]
        if len(found) > 1:
            return sorted(found, key=lambda v: natural_key(v.name))
    return []


def _stored(
    file: Any,
    path: Path,
    variable: Variable,
    pairs: dict[str, tuple[Variable, Variable]],
    where: dict[str, str],
) -> StoredArray:
    halves = tuple(
        unpacked(
            H5Array(str(path), v.shape, v.dtype, where.get(v.name, v.name), v.name),
            dataset_within(file, where.get(v.name, v.name)).attrs,
        )
        for v in pairs.get(variable.name, (variable,))
    )
    return PairedArray(*halves) if len(halves) == 2 else halves[0]


def _leaf(name: str) -> str:
    return name.rpartition("/")[2]


READER = Reader("HDF5", (".h5", ".hdf5", ".hdf", ".he5", ".mat"), _sniff, _open, _list, priority=60)
