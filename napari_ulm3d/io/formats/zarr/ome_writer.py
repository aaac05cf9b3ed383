"""Vessel maps as OME-Zarr 0.4 (Zarr format 2, which all current readers can open).

Only non-empty chunks are written. Coarser levels keep the value furthest from zero in
each 2x2x2 voxels, because averaging would make thin vessels fade.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.io.stored.dense_blocks import occupied_blocks
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_ome_zarr"]

_SMALLEST_LEVEL = 256


def write_ome_zarr(map_: VesselMap, path: Path) -> None:
    """Write a map as a folder: an image pyramid with axes z, y, x in micrometres."""
    import numcodecs
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=2)
    datasets: list[dict[str, Any]] = []
    level = map_
    while True:
        name = str(len(datasets))
        edge = 512 if level.shape[1] == 1 else 64
        chunks = (edge, min(edge, level.shape[1]), edge)
        array = group.create_array(
            name,
            shape=level.shape,
            chunks=chunks,
            dtype="<f4",
            fill_value=0,
            compressors=numcodecs.Blosc(cname="zstd", clevel=3, shuffle=numcodecs.Blosc.SHUFFLE),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        for where, values in occupied_blocks(level, chunks):
            array[where] = values
        datasets.append(
            {
                "path": name,
                "coordinateTransformations": [
                    {"type": "scale", "scale": list(level.grid.spacing_um)},
                    {"type": "translation", "translation": list(level.grid.origin_um)},
                ],
            }
        )
        if max(level.shape) <= _SMALLEST_LEVEL:
            break
        level = _halved(level)
    group.attrs.update(_attributes(map_, datasets))


def _attributes(map_: VesselMap, datasets: list[dict[str, Any]]) -> dict[str, Any]:
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    return {
        "multiscales": [
            {
                "version": "0.4",
                "name": map_.name,
                "axes": axes,
                "datasets": datasets,
                "type": "maximum",
                "metadata": {"description": "value furthest from zero of 2x2x2 voxels"},
            }
        ],
        "napari_ulm3d": {"name": map_.name, "unit": map_.unit, "signed": map_.signed},
    }


def _halved(map_: VesselMap) -> VesselMap:
    """Halve the number of voxels along every axis that has more than one."""
    factors = [2 if n > 1 else 1 for n in map_.shape]
    shape = tuple(-(-n // f) for n, f in zip(map_.shape, factors, strict=True))
    spacing = tuple(s * f for s, f in zip(map_.grid.spacing_um, factors, strict=True))
    origin = tuple(
        o + s * (f - 1) / 2
        for o, s, f in zip(map_.grid.origin_um, map_.grid.spacing_um, factors, strict=True)
    )
    coarse = [
        c // f for c, f in zip(np.unravel_index(map_.index, map_.shape), factors, strict=True)
    ]
    flat = np.ravel_multi_index(tuple(coarse), shape)
    # Of repeated positions, the last one is the value furthest from zero.
    order = np.lexsort((np.abs(map_.values), flat))
    last = np.append(np.diff(flat[order]) > 0, True)[: order.size]
    chosen = order[last]
    grid = Grid(shape, spacing, origin)  # type: ignore[arg-type]
    return replace(map_, grid=grid, index=flat[chosen], values=map_.values[chosen])
