"""Dimensions of plain Zarr arrays in xarray's conventions: names, coordinates and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.io.facts.coordinates import Coordinate
from napari_ulm3d.io.facts.named import texts

if TYPE_CHECKING:
    import zarr

__all__ = ["coordinates", "dimension_names", "labels_of", "siblings"]

_MOST_COORDINATES = 1 << 24


def dimension_names(
    array: zarr.Array[Any], attributes: Mapping[str, Any]
) -> list[str | None] | None:
    """Dimension names of an array, as stored by Zarr version 3, xarray or a person."""
    of_metadata = getattr(array.metadata, "dimension_names", None)
    for names in (of_metadata, attributes.get("_ARRAY_DIMENSIONS"), attributes.get("axes")):
        if names and len(names) == len(array.shape):
            return [None if name is None else str(name) for name in names]
    return None


def siblings(arrays: Mapping[str, zarr.Array[Any]], name: str) -> dict[str, zarr.Array[Any]]:
    """The arrays in an array's group, or in parent groups for names that the group lacks."""
    found: dict[str, zarr.Array[Any]] = {}
    parts = name.split("/")[:-1]
    for depth in range(len(parts) + 1):
        above = "/".join(parts[:depth])
        for other, array in arrays.items():
            group, _, leaf = other.rpartition("/")
            if group == above:
                found[leaf] = array
    return found


def coordinates(
    names: Sequence[str | None], beside: Mapping[str, zarr.Array[Any]], shape: Sequence[int]
) -> list[Coordinate | None]:
    """Coordinates of each dimension, from the array of the same name."""
    found: list[Coordinate | None] = []
    for name, size in zip(names, shape, strict=True):
        vector = beside.get(name or "")
        kind = "" if vector is None else np.dtype(vector.dtype).kind
        if (
            vector is None
            or vector.shape != (size,)
            or size > _MOST_COORDINATES
            or kind not in "iufmM"
        ):
            found.append(None)
            continue
        attributes = dict(vector.attrs)
        unit = next(
            (u for key in ("units", "unit") if isinstance(u := attributes.get(key), str)), None
        )
        found.append(Coordinate(str(name), np.asarray(vector[...]), unit))
    return found


def labels_of(
    names: Sequence[str | None] | None,
    beside: Mapping[str, zarr.Array[Any]],
    shape: Sequence[int],
    attributes: Mapping[str, Any],
) -> tuple[str, ...]:
    """Labels of the two elements of an axis, from its coordinates or an attribute."""
    for key in ("labels", "channels", "channel_names", "components"):
        if found := texts(attributes.get(key, ())):
            return found
    for name, size in zip(names or (), shape, strict=False):
        vector = beside.get(name or "")
        if size == 2 and vector is not None and vector.shape == (2,):
            text = np.dtype(vector.dtype).kind in "SUT"
            if text and (found := texts(vector[...])):
                return found
    return ()
