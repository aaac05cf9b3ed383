"""Descriptions of an array's axes in an HDF5 file: names, labels of I and Q, coordinates.

netCDF and xarray attach dimension scales, whose names are the axis names and whose values
are coordinates with units. Other software stores vectors x, y, z beside the array.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_ulm3d.io.facts.coordinates import Coordinate
from napari_ulm3d.io.facts.named import plain, texts
from napari_ulm3d.io.formats.hdf5.array import attributes_above
from napari_ulm3d.io.formats.hdf5.safety import elsewhere, short_texts, within
from napari_ulm3d.io.stored.content import Variable
from napari_ulm3d.io.stored.layout import C_ORDER, letter_of
from napari_ulm3d.io.stored.limits import check_claim, stored_bytes

if TYPE_CHECKING:
    import h5py

__all__ = ["Naming", "coordinates", "naming"]

_MATLAB_ORDER = {4: "tyxz", 3: "txz"}
_LABELS = ("labels", "channels", "channel_names", "components")


class Naming(NamedTuple):
    """Names of the axes, the default order without names, their source, and channel labels."""

    names: list[str | None] | None
    order: dict[int, str]
    said: str
    labels: tuple[str, ...]


def naming(file: h5py.File, path: Path, chosen: Variable, first: str) -> Naming:
    """Names of an array's axes, given by the file or by the layout of a known laboratory."""
    n, leaf = len(chosen.shape), chosen.name.rpartition("/")[2]
    labels = _labels(file, first)
    scales = [_scale_name(dim) for dim in file[first].dims]
    attributes = attributes_above(file, first)
    listed = [attributes.get(key) for key in ("axes", "dims", "dimensions")]
    given = [list(axes.lower()) if isinstance(axes, str) else axes for axes in listed]
    of_lists = [list(texts(file[first].attrs.get(key, ()))) for key in ("axes", "dims")]
    several: list[Any] = [scales, *given, *of_lists]
    for names in several:
        if isinstance(names, list) and len(names) == n and any(letter_of(a or "") for a in names):
            told = ", ".join(a or "?" for a in names)
            return Naming(names, C_ORDER, f"The file names the axes of {leaf}: {told}.", labels)
    if leaf.lower() == "compound_image" and n == 4:
        said = f"{leaf} was taken as (frame, elevation, z, x), the layout of Ultratrace."
        return Naming(list("tyzx"), C_ORDER, said, labels)
    if leaf.lower() == "corrmap" and n in (4, 5) and chosen.shape[-1] == 2:
        axes = "tzyxc" if n == 5 else "tzxc"
        said = f"{leaf} was taken as {axes}, the layout of SparseTensorULM."
        return Naming(list(axes), C_ORDER, said, ("real", "imag"))
    if "beamformed_data" in first.split("/") and n == 4 and chosen.shape[-1] <= 2:
        said = f"{leaf} was taken as (frame, z, x, channel), the layout of zea."
        return Naming(["frame", "z", "x", "channel"], C_ORDER, said, labels or ("I", "Q"))
    with path.open("rb") as raw:
        matlab = b"MATLAB" in raw.read(128) or "MATLAB_class" in file[first].attrs
    if matlab or path.suffix.lower() == ".mat":
        order = ", ".join(reversed(_MATLAB_ORDER.get(n, "")))
        said = f"{leaf} was taken as MATLAB [{order}]." if order else ""
        return Naming(None, _MATLAB_ORDER, said, labels)
    return Naming(None, C_ORDER, "", labels)


def _scale_name(dim: Any) -> str | None:
    """The label of a dimension, or the name of its attached scale."""
    if dim.label:
        return str(dim.label)
    return str(dim[0].name).rpartition("/")[2] if len(dim) else None


def _labels(file: h5py.File, first: str) -> tuple[str, ...]:
    """Labels of the elements of an axis, from an attribute or a dataset beside it."""
    import h5py

    for key in _LABELS:
        if key in file[first].attrs and (found := texts(file[first].attrs[key])):
            return found
        beside = within(file, f"{first.rpartition('/')[0]}/{key}".lstrip("/"))
        if isinstance(beside, h5py.Dataset) and (found := _texts_of(beside)):
            return found
    for dim in file[first].dims:
        for scale in dim.values():
            if scale.size == 2 and (found := _texts_of(scale)):
                return found
    return ()


def _texts_of(data: h5py.Dataset) -> tuple[str, ...]:
    if elsewhere(data) or not 0 < data.size <= 16:
        return ()
    return texts(data[()]) if data.dtype.kind == "S" or short_texts(data) else ()


def coordinates(
    file: h5py.File, chosen: Variable, first: str, names: str
) -> list[Coordinate | None]:
    """Coordinates of each axis: its dimension scale, or a vector beside or above the array."""
    groups = first.split("/")[:-1]
    found: list[Coordinate | None] = []
    for dim, letter, size in zip(file[first].dims, names, chosen.shape, strict=True):
        scales = [s for s in dim.values() if _is_vector(s, size) and not _is_placeholder(s)]
        vectors = (_beside(file, groups[:depth], letter, size) for depth in _upwards(groups))
        data = scales[0] if scales else next((v for v in vectors if v is not None), None)
        if data is None:
            found.append(None)
            continue
        check_claim(
            file.filename, data.name, data.shape, data.dtype, stored_bytes(Path(file.filename))
        )
        unit = next(
            (u for key in ("units", "unit", "Units", "Unit")
             if isinstance(u := plain(data.attrs.get(key)), str)), None
        )  # fmt: skip
        name = data.name.rpartition("/")[2] if scales else letter
        found.append(Coordinate(name, np.asarray(data[()]), unit))
    return found


def _upwards(groups: list[str]) -> range:
    return range(len(groups), -1, -1)


def _is_placeholder(scale: h5py.Dataset) -> bool:
    """Whether a netCDF scale stands for a dimension without coordinates."""
    name = plain(scale.attrs.get("NAME", b""))
    return isinstance(name, str) and name.startswith("This is a netCDF dimension but not")


def _is_vector(item: Any, size: int) -> bool:
    return (
        getattr(item, "size", 0) == size > 1
        and getattr(item, "dtype", np.dtype("O")).kind in "iuf"
        and not elsewhere(item)
    )


def _beside(file: h5py.File, groups: list[str], letter: str, size: int) -> Any:
    if letter not in "zyx":
        return None
    for name in (letter, f"{letter}_axis", f"{letter}_coords", f"axis_{letter}"):
        item = within(file, "/".join((*groups, name)))
        if _is_vector(item, size):
            return item
    return None
