"""Vessel maps in OME-Zarr, as `write_ome_zarr` writes them, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.stored.limits import check_free
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_ome_zarr"]


def read_ome_zarr(path: Path) -> VesselMap:
    """The finest level of a map, a layer of chunks at a time.

    Raises
    ------
    ResultsError
        It is not a map of this program.
    """
    import zarr

    attributes = dict(zarr.open_group(path, mode="r").attrs)
    facts, scales = attributes.get("napari_ulm3d"), attributes.get("multiscales")
    if not isinstance(facts, dict) or not isinstance(scales, list):
        raise ResultsError(f"{path}: is not a vessel map of this program.")
    finest = scales[0]["datasets"][0]
    array = zarr.open_array(path / str(finest["path"]), mode="r")
    spacing, origin = (
        tuple(float(value) for value in transform[kind])
        for transform, kind in zip(
            finest["coordinateTransformations"], ("scale", "translation"), strict=True
        )
    )
    grid = Grid(tuple(array.shape), spacing, origin)  # type: ignore[arg-type]
    plane, step = grid.shape[1] * grid.shape[2], array.chunks[0]
    check_free(str(path), 5 * plane * step, "a part of the map", "Free some memory.")
    index, values = [], []
    for top in range(0, grid.shape[0], step):
        part = np.asarray(array[top : top + step], np.float32).ravel()
        held = np.flatnonzero(part)
        index.append(held + top * plane)
        values.append(part[held])
    return VesselMap(
        str(facts["name"]),
        grid,
        np.concatenate(index),
        np.concatenate(values),
        str(facts.get("unit", "")),
        bool(facts.get("signed", False)),
    )
