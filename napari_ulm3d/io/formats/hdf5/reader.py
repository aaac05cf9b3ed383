"""HDF5 files: MATLAB v7.3, the layouts of labs, and any other with one large array.

Known layouts
-------------
* MATLAB v7.3: axes come out reversed, MATLAB [z, x, y, t] (Open-3DULM) as (t, y, x, z).
* Ultratrace: ``acquisitions/<id>/meta/compound_image`` (frame, elevation, z, x).
* SparseTensorULM: groups ``1``, ``2``, ... with ``CorrMap`` (t, z, y, x, part), each group
  a block of its own.
* Others: (t, z, y, x) or (t, z, x), unless the dataset names its axes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.io.formats.hdf5.array import (
    H5Array,
    attributes_above,
    list_datasets,
    small_values,
)
from napari_ulm3d.io.formats.hdf5.safety import dataset_within, elsewhere, within
from napari_ulm3d.io.stored.axes import frame_shape
from napari_ulm3d.io.stored.choosing import choose_variable, natural_key
from napari_ulm3d.io.stored.content import Content, Reader, StoredArray, Variable, full_scale
from napari_ulm3d.io.stored.facts import Facts
from napari_ulm3d.io.stored.named_facts import (
    axis_spacing,
    facts_from_names,
    plain_values,
    unit_um,
)
from napari_ulm3d.io.stored.pairs import PairedArray, with_pairs

if TYPE_CHECKING:
    import h5py

__all__ = ["READER"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Arrays that repeat in numbered groups, each a stretch of the same acquisition.
_SERIES = ("corrmap", "compound_image")
_METADATA_ENTRIES = 60


def _sniff(path: Path, head: bytes) -> bool:
    # A user block of 512, 1024, ... bytes may precede the signature.
    return any(head[offset : offset + 8] == _SIGNATURE for offset in (0, 512, 1024, 2048 - 8))


def _list(path: Path) -> tuple[Variable, ...]:
    import h5py

    with h5py.File(path, "r") as file:
        return tuple(list_datasets(file))


def _open(path: Path, variable: str | None) -> Content:
    import h5py

    with h5py.File(path, "r") as file:
        variables = list_datasets(file)
        candidates, pairs = with_pairs(variables, variable)
        series = _series(candidates) if variable is None else []
        if series:
            chosen, why = series[0], f"{len(series)} numbered groups hold one"
        else:
            chosen, why = choose_variable(path, candidates, variable)
            series = [chosen]
        arrays = tuple(_stored(path, v, pairs) for v in series)
        parts = [half.name for half in pairs.get(chosen.name, ())] or [chosen.name]
        for part in parts:
            dataset_within(file, part)
        axes, said = _axes(file, path, chosen, parts[0])
        values = small_values(file)
        values |= attributes_above(file, parts[0])
        facts, notes = facts_from_names(values, chosen.shape)
        if facts.voxel_um is None and facts.voxel_wavelengths is None and axes is not None:
            facts = _from_coordinates(file, chosen, parts[0], axes, facts, notes)
    if len(series) > 1:
        notes.append(f"The {len(series)} groups with {_leaf(chosen.name)} are consecutive blocks.")
    texts = plain_values(values)
    return Content(
        arrays=arrays,
        variable=chosen.name,
        why=why,
        axes=axes,
        axes_note=said,
        facts=facts,
        variables=tuple(variables),
        notes=tuple(notes),
        metadata=dict(list(texts.items())[:_METADATA_ENTRIES]),
        full_scale=full_scale(chosen.dtype),
    )


def _series(candidates: list[Variable]) -> list[Variable]:
    for name in _SERIES:
        found = [v for v in candidates if _leaf(v.name).lower() == name]
        if len(found) > 1:
            return sorted(found, key=lambda v: natural_key(v.name))
    return []


def _stored(
    path: Path, variable: Variable, pairs: dict[str, tuple[Variable, Variable]]
) -> StoredArray:
    if variable.name in pairs:
        real, imag = pairs[variable.name]
        return PairedArray(
            H5Array(str(path), real.shape, real.dtype, real.name),
            H5Array(str(path), imag.shape, imag.dtype, imag.name),
        )
    return H5Array(str(path), variable.shape, variable.dtype, variable.name)


def _axes(file: h5py.File, path: Path, chosen: Variable, first: str) -> tuple[str | None, str]:
    """Axis letters, and a sentence that says where they are from."""
    n, leaf = len(chosen.shape), _leaf(chosen.name)
    labels = "".join(dim.label for dim in file[first].dims).lower()
    named = attributes_above(file, first).get("axes")
    for letters in (labels, named.lower() if isinstance(named, str) else ""):
        if len(letters) == n and {"z", "x"} <= set(letters) <= set("tzyxc"):
            return letters, f"The file names the axes of {leaf}: {letters}."
    if leaf.lower() == "compound_image" and n == 4:
        return "tyzx", f"{leaf} was taken as (frame, elevation, z, x), the layout of Ultratrace."
    if leaf.lower() == "corrmap" and n in (4, 5) and chosen.shape[-1] == 2:
        axes = "tzyxc" if n == 5 else "tzxc"
        return axes, f"{leaf} was taken as {axes}, the layout of SparseTensorULM."
    matlab = b"MATLAB" in _head(path) or "MATLAB_class" in file[first].attrs
    if matlab or path.suffix.lower() == ".mat":
        order = {4: "tyxz", 3: "txz"}.get(n)
        reverse = ", ".join(reversed(order or ""))
        return order, f"{leaf} was taken as MATLAB [{reverse}]." if order else ""
    order = {4: "tzyx", 3: "tzx"}.get(n)
    return order, f"The axes of {leaf} are not named; taken as {order}." if order else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(128)


def _from_coordinates(
    file: h5py.File, chosen: Variable, first: str, axes: str, facts: Facts, notes: list[str]
) -> Facts:
    """Spacing from coordinate vectors x, y, z beside the array or above it."""
    sizes = dict(zip("tzyx", frame_shape(axes, chosen.shape), strict=True))
    groups = first.split("/")[:-1]
    spacing: dict[str, float] = {}
    origin: dict[str, float] = {}
    unknown: dict[str, float] = {}
    for letter in "zyx":
        for depth in range(len(groups), -1, -1):
            vector = _vector(file, groups[:depth], letter, sizes[letter])
            if vector is None:
                continue
            even = axis_spacing(vector[()])
            unit = unit_um(vector.attrs)
            if even and unit:
                spacing[letter], origin[letter] = even[0] * unit, even[1] * unit
            elif even:
                unknown[letter] = even[0]
            break
    if unknown:
        steps = ", ".join(f"{letter} {step:.6g}" for letter, step in unknown.items())
        notes.append(f"The file has coordinates without a unit, with steps {steps}; not used.")
    if not spacing:
        return facts
    notes.append(f"The spacing is from the file's coordinates {', '.join(spacing)}.")
    return replace(
        facts,
        voxel_um=(spacing.get("z"), spacing.get("y"), spacing.get("x")),
        origin_um=(origin.get("z"), origin.get("y"), origin.get("x")),
    )


def _vector(file: h5py.File, groups: list[str], letter: str, size: int) -> Any:
    for name in (letter, f"{letter}_axis", f"{letter}_coords", f"axis_{letter}"):
        item = within(file, "/".join((*groups, name)))
        if getattr(item, "size", 0) == size and size > 1 and not elsewhere(item):
            return item
    return None


def _leaf(name: str) -> str:
    return name.rpartition("/")[2]


READER = Reader("HDF5", (".h5", ".hdf5", ".hdf", ".he5", ".mat"), _sniff, _open, _list, priority=60)
