"""Saving layers from the viewer: tracks as tables or polylines, vessel maps as volumes."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.plugin.layers.convert import VALUE
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_map", "write_tracks"]


def write_tracks(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """A Tracks layer of this plugin as .csv, .parquet or .vtp: the whole table of it.

    Raises
    ------
    ResultsError
        The layer was not made by this plugin, so that it has no velocities and times.
    """
    from napari_ulm3d.io.writers import write

    tracks = attributes.get("metadata", {}).get(VALUE)
    if not isinstance(tracks, Tracks):
        raise ResultsError(
            f"The layer '{attributes.get('name', '')}' was not made by ULM 3D and has no table of "
            "velocities to save. Save it with napari's own writer instead."
        )
    write(tracks, path)
    return [path]


def write_map(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """An image layer as OME-TIFF or NIfTI, with its scale; a vessel map in full resolution.

    Raises
    ------
    ResultsError
        The layer is not a volume (z, y, x).
    """
    from napari_ulm3d.io.writers import write

    write(_as_map(data, attributes), path)
    return [path]


def _as_map(data: Any, attributes: dict[str, Any]) -> VesselMap:
    value = attributes.get("metadata", {}).get(VALUE)
    if isinstance(value, VesselMap):
        return value
    name = str(attributes.get("name", "layer"))
    if np.ndim(data) != 3:
        raise ResultsError(
            f"The layer '{name}' has {np.ndim(data)} axes; a map has three (z, y, x). "
            "Save frames with the Export widget."
        )
    volume = np.asarray(data, np.float32)
    scale = tuple(float(s) for s in attributes.get("scale", (1.0, 1.0, 1.0)))
    origin = tuple(float(s) for s in attributes.get("translate", (0.0, 0.0, 0.0)))
    z, y, x = volume.shape
    grid = Grid((z, y, x), scale, origin)  # type: ignore[arg-type]
    return VesselMap.from_dense(name, volume, grid, signed=bool((volume < 0).any()))
