"""Zarr arrays and groups, version 2 and 3, and OME-Zarr images (0.4 and 0.5).

An OME-Zarr names its axes and gives scale, translation and units
(https://ngff.openmicroscopy.org). In an image of t, y, x without z the rows are depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.zarr.codecs import known_codecs
from napari_ulm3d.io.formats.zarr.safety import refuse_pickles, refuse_torn_chunks
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
from napari_ulm3d.io.stored.facts import to_um
from napari_ulm3d.io.stored.limits import check_claim, stored_bytes
from napari_ulm3d.io.stored.named_facts import facts_from_names, flatten, plain_values
from napari_ulm3d.io.stored.pairs import PairedArray, with_pairs

if TYPE_CHECKING:
    import zarr

__all__ = ["READER", "ZarrArray"]

Lengths = tuple[float | None, ...]

_SECONDS = {"second": 1.0, "s": 1.0, "millisecond": 1e-3, "ms": 1e-3, "microsecond": 1e-6}


@dataclass(frozen=True)
class ZarrArray(FileArray):
    """An array of a Zarr store; implements `StoredArray`."""

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
            out[...] = np.asarray(array[...])
            return
        fill_in_chunks(
            out,
            axis,
            start,
            stop,
            array.nbytes // max(1, array.shape[axis]),
            lambda index: np.asarray(array[index]),
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
        Variable(name or path.stem, tuple(a.shape), np.dtype(a.dtype)) for name, a in arrays.items()
    )


def _open(path: Path, variable: str | None) -> Content:
    import zarr

    with known_codecs(path):
        root = zarr.open(str(path), mode="r")
        found = _arrays(root)
    arrays = {name or path.stem: array for name, array in found.items()}
    inner = {name or path.stem: name for name in found}
    variables = tuple(Variable(n, tuple(a.shape), np.dtype(a.dtype)) for n, a in arrays.items())
    attributes = dict(root.attrs)
    image = _multiscale(attributes)
    pairs: dict[str, tuple[Variable, Variable]] = {}
    if image is not None and variable is None:
        name = str(image["datasets"][0]["path"])
        if name not in arrays:
            raise InputError(path, f"has no array '{name}' for its finest scale", "Copy it again.")
        chosen = next(v for v in variables if v.name == name)
        why = "the finest scale of the OME-Zarr image"
    else:
        candidates, pairs = with_pairs(variables, variable)
        chosen, why = choose_variable(path, candidates, variable)

    def stored(v: Variable) -> ZarrArray:
        # A chunk is decoded whole, however little of it is asked for.
        whole = arrays[v.name]
        chunk = whole.shards or whole.chunks
        check_claim(path, f"a chunk of {v.name}", chunk, v.dtype, stored_bytes(path))
        refuse_pickles(path, whole)
        return ZarrArray(str(path), v.shape, v.dtype, inner[v.name])

    array: StoredArray
    if chosen.name in pairs:
        real, imag = pairs[chosen.name]
        array, first = PairedArray(stored(real), stored(imag)), arrays[real.name]
    else:
        array, first = stored(chosen), arrays[chosen.name]
    merged = {**attributes, **dict(first.attrs)}
    values = flatten({k: v for k, v in merged.items() if k not in ("multiscales", "ome")})
    facts, notes = facts_from_names(values, chosen.shape)
    axes: str | None
    spacing_um = first_um = None
    if image is not None and chosen.name in {str(d["path"]) for d in image["datasets"]}:
        axes, said, rate, spacing_um, first_um = _ome(path, image, chosen)
        facts = replace(facts, rate_hz=rate or facts.rate_hz)
    else:
        axes, said = _plain_axes(first, merged)
    return Content(
        arrays=(array,),
        variable=chosen.name,
        why=why,
        axes=axes,
        axes_note=said,
        facts=facts,
        spacing_um=spacing_um,
        first_um=first_um,
        variables=variables,
        notes=tuple(notes),
        metadata=plain_values(values),
        full_scale=full_scale(chosen.dtype),
    )


def _multiscale(attributes: dict[str, Any]) -> dict[str, Any] | None:
    """The first image of the attributes, from where version 0.5 or 0.4 keeps it."""
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    if not isinstance(images, list) or not images or not images[0].get("datasets"):
        return None
    return dict(images[0])


def _ome(
    path: Path, image: dict[str, Any], chosen: Variable
) -> tuple[str, str, float | None, Lengths, Lengths]:
    """Axes, a sentence on them, rate, and spacing and first position of each axis."""
    entries = [a if isinstance(a, dict) else {"name": a} for a in image.get("axes", ())]
    names = [str(a.get("name", "")).lower() for a in entries]
    if len(names) != len(chosen.shape):
        raise InputError(
            path, f"names {len(names)} axes for {chosen.shape}", "Mend its multiscales attribute."
        )
    long_axes = [n for n, size in zip(names, chosen.shape, strict=True) if size > 1]
    flat = "z" not in long_axes
    letters = ""
    for name, size in zip(names, chosen.shape, strict=True):
        if flat:
            letters += {"t": "t", "y": "z", "x": "x"}.get(name, "_" if size == 1 else name)
        else:
            letters += name if size > 1 or name in "tzyx" else "_"
    level = next(d for d in image["datasets"] if str(d["path"]) == chosen.name)
    scale, shift = np.ones(len(names)), np.zeros(len(names))
    for transform in (
        *level.get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ):
        if transform.get("type") == "scale":
            scale, shift = scale * transform["scale"], shift * transform["scale"]
        elif transform.get("type") == "translation":
            shift = shift + transform["translation"]
    spacing: list[float | None] = []
    first: list[float | None] = []
    rate = None
    for i, name in enumerate(names):
        unit = str(entries[i].get("unit", ""))
        um = to_um(unit)
        spacing.append(float(scale[i] * um) if um else None)
        first.append(float(shift[i] * um) if um else None)
        if name == "t" and unit in _SECONDS and scale[i] > 0:
            rate = 1 / (float(scale[i]) * _SECONDS[unit])
    said = (
        "It is a 2-D movie: rows were taken as z (depth)." if flat else "OME-Zarr names the axes."
    )
    return letters, said, rate, tuple(spacing), tuple(first)


def _plain_axes(array: zarr.Array[Any], attributes: dict[str, Any]) -> tuple[str | None, str]:
    n = len(array.shape)
    dimensions = getattr(array.metadata, "dimension_names", None)
    for names in (dimensions, attributes.get("_ARRAY_DIMENSIONS"), attributes.get("axes")):
        if not names:
            continue
        letters = "".join({"time": "t"}.get(str(a).lower(), str(a).lower()) for a in names)
        if len(letters) == n and {"z", "x"} <= set(letters) <= set("tzyxc"):
            return letters, f"The array names its axes: {letters}."
    axes = {4: "tzyx", 3: "tzx"}.get(n)
    return axes, f"The axes are not named; taken as {axes}." if axes else ""


READER = Reader("Zarr", (".zarr",), _sniff, _open, _list)
