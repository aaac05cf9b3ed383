"""Zarr arrays and groups, version 2 and 3, and OME-Zarr images (0.4 and 0.5).

OME-Zarr names its axes and gives scale, translation and units. Other arrays may have dimension
names in xarray's convention, with coordinates in arrays of the same names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.coordinates import AlongAxes, along_axes
from napari_ulm3d.io.facts.named import facts_from_names, flatten, plain_values
from napari_ulm3d.io.formats.zarr.codecs import known_codecs
from napari_ulm3d.io.formats.zarr.dimensions import (
    coordinates,
    dimension_names,
    labels_of,
    siblings,
)
from napari_ulm3d.io.formats.zarr.images import images_of, sole_image
from napari_ulm3d.io.formats.zarr.safety import refuse_pickles, refuse_torn_chunks
from napari_ulm3d.io.stored.axes import Layout
from napari_ulm3d.io.stored.choosing import choose_variable
from napari_ulm3d.io.stored.content import (
    Content,
    FileArray,
    Reader,
    StoredArray,
    Variable,
    fill_in_chunks,
    full_scale,
)
from napari_ulm3d.io.stored.layout import read_layout
from napari_ulm3d.io.stored.limits import check_claim, stored_bytes
from napari_ulm3d.io.stored.pairs import PairedArray, as_numbers, number_type, with_pairs
from napari_ulm3d.io.stored.scaled import packing_notes, unpacked

if TYPE_CHECKING:
    import zarr

__all__ = ["READER", "ZarrArray"]


@dataclass(frozen=True)
class ZarrArray(FileArray):
    """An array in a Zarr store; implements `StoredArray`."""

    array: str

    @property
    def name(self) -> str:
        return f"{self.path} ({self.array})" if self.array else self.path

    def read_into(self, out: NDArray[Any], axis: int | None, start: int, stop: int) -> None:
        """Fill `out`; see `StoredArray.read_into`."""
        import zarr

        with known_codecs(self.path):
            array = zarr.open_array(self.path, path=self.array, mode="r")
        refuse_pickles(self.path, array)
        refuse_torn_chunks(self.path, array, axis, start, stop)
        if axis is None:
            out[...] = as_numbers(np.asarray(array[...]))
            return
        fill_in_chunks(
            out,
            axis,
            start,
            stop,
            array.nbytes // max(1, array.shape[axis]),
            lambda index: as_numbers(np.asarray(array[index])),
            array.chunks[axis],
        )


def _sniff(path: Path, head: bytes) -> bool:
    return path.is_dir() and any((path / n).exists() for n in (".zarray", ".zgroup", "zarr.json"))


def _arrays(root: zarr.Group | zarr.Array[Any]) -> dict[str, zarr.Array[Any]]:
    import zarr

    if isinstance(root, zarr.Array):
        return {"": root}
    found: dict[str, zarr.Array[Any]] = {}
    for name, item in root.members(max_depth=4):
        if isinstance(item, zarr.Array):
            found[name] = item
    return found


def _list(path: Path) -> tuple[Variable, ...]:
    import zarr

    with known_codecs(path):
        arrays = _arrays(zarr.open(str(path), mode="r"))
    return tuple(
        Variable(name or path.stem, tuple(a.shape), number_type(np.dtype(a.dtype)))
        for name, a in arrays.items()
    )


def _open_store(path: Path, variable: str | None) -> Content:
    """Open a store; an array within an image with the axes and scale that the image gives it."""
    if variable is None and _is_level(path):
        return _open(path.parent, path.name)
    return _open(path, variable)


def _open(path: Path, variable: str | None) -> Content:
    import zarr

    with known_codecs(path):
        root = zarr.open(str(path), mode="r")
        found = _arrays(root)
        images = images_of(root)
    arrays = {name or path.stem: array for name, array in found.items()}
    inner = {name or path.stem: name for name in found}
    variables = tuple(
        Variable(n, tuple(a.shape), number_type(np.dtype(a.dtype))) for n, a in arrays.items()
    )
    of_image = sole_image(path, images, variable)
    pairs: dict[str, tuple[Variable, Variable]] = {}
    if of_image is not None:
        name = of_image[1]
        if name not in arrays:
            raise InputError(
                path, f"lacks the array '{name}' of its image", "Copy it again from the original."
            )
        chosen = next(v for v in variables if v.name == name)
        why = "named in the settings" if variable else "the finest scale of the OME-Zarr image"
    else:
        candidates, pairs = with_pairs(variables, variable)
        chosen, why = choose_variable(path, candidates, variable)

    def stored(v: Variable) -> StoredArray:
        # A chunk is always decoded whole, even for a small part of it.
        whole = arrays[v.name]
        chunk = whole.shards or whole.chunks
        check_claim(path, f"a chunk of {v.name}", chunk, v.dtype, stored_bytes(path))
        refuse_pickles(path, whole)
        return unpacked(ZarrArray(str(path), v.shape, v.dtype, inner[v.name]), dict(whole.attrs))

    array: StoredArray
    if chosen.name in pairs:
        real, imag = pairs[chosen.name]
        first_name, array = real.name, PairedArray(stored(real), stored(imag))
    else:
        first_name, array = chosen.name, stored(chosen)
    first = arrays[first_name]
    merged = {**_attributes_above(root, inner[first_name]), **dict(first.attrs)}
    values = flatten({k: v for k, v in merged.items() if k not in ("multiscales", "ome", "omero")})
    facts, notes = facts_from_names(values, chosen.shape)
    along = AlongAxes()
    if of_image is not None:
        image = of_image[0]
        names = image.names(path, chosen.shape)
        layout = read_layout(array, names, labels=image.channels, said="OME-Zarr names the axes.")
        rate, spacing_um, first_um = image.lengths(chosen.name, len(chosen.shape))
        along = AlongAxes(spacing_um, first_um, rate, tuple(image.unused(chosen.name)))
    else:
        layout, along = _of_dimensions(
            array, arrays, first_name, merged, with_lengths=facts.voxel_um is None
        )
    facts = replace(facts, rate_hz=along.rate_hz or facts.rate_hz)
    notes += [*along.notes, *packing_notes(array)]
    return Content(
        arrays=(array,),
        variable=chosen.name,
        why=why,
        layout=layout,
        facts=facts,
        spacing_um=along.spacing_um,
        first_um=along.first_um,
        variables=variables,
        notes=tuple(notes),
        metadata=plain_values(values),
        full_scale=full_scale(chosen.dtype),
    )


def _is_level(path: Path) -> bool:
    """Whether a store is an array of the image above it, which knows its axes and scale."""
    import zarr

    if not _sniff(path.parent, b"") or (path / ".zgroup").exists():
        return False
    above = zarr.open(str(path.parent), mode="r")
    return any(path.name in image.levels for image in images_of(above) if not image.group)


def _of_dimensions(
    array: StoredArray,
    arrays: dict[str, Any],
    name: str,
    merged: dict[str, Any],
    *,
    with_lengths: bool,
) -> tuple[Layout, AlongAxes]:
    """Axes of an array from its dimension names and the coordinates beside it."""
    dimensions = dimension_names(arrays[name], merged)
    said = f"The array names its axes: {', '.join(map(str, dimensions))}." if dimensions else ""
    beside = {n.rpartition("/")[2]: a for n, a in siblings(arrays, name).items()}
    labels = labels_of(dimensions, beside, array.shape, merged)
    layout = read_layout(array, dimensions, labels=labels, said=said)
    if layout.letters is None or not dimensions or not with_lengths:
        return layout, AlongAxes()
    return layout, along_axes(layout.letters, coordinates(dimensions, beside, array.shape))


def _attributes_above(root: zarr.Group | zarr.Array[Any], name: str) -> dict[str, Any]:
    """Attributes of an array's parent groups; the nearest ones take precedence."""
    merged = dict(root.attrs)
    parts = name.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        group: Any = root["/".join(parts[:depth])]  # type: ignore[index]
        merged |= dict(group.attrs)
    return merged


READER = Reader("Zarr", (".zarr",), _sniff, _open_store, _list)
