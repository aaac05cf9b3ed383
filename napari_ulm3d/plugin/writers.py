"""Saving layers from the viewer: tracks as tables or polylines, vessel maps as volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.notifications import show_info

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.facts.resolve import to_um
from napari_ulm3d.plugin.layers.convert import VALUE
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["um_per_unit", "write_map", "write_tracks"]


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
            f"The layer '{attributes.get('name', '')}' was not made by ULM 3D, so it has no "
            "velocity table to save. Save it with napari's own writer instead."
        )
    write(tracks, path)
    return [path]


def write_map(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """An image layer as OME-TIFF, NIfTI or VTK, with its scale; a vessel map in full resolution.

    Scale and position are converted from the layer's units to those of the file.

    Raises
    ------
    ResultsError
        The layer is not a volume (z, y, x), or its unit is none of length.
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
            f"The layer '{name}' has {np.ndim(data)} axes; a map has three (z, y, x). Use "
            "the Export widget to save frames."
        )
    volume = np.asarray(data, np.float32)
    um = um_per_unit(name, attributes.get("units"))
    scale = _in_um(attributes.get("scale"), um, 1.0)
    origin = _in_um(attributes.get("translate"), um, 0.0)
    z, y, x = volume.shape
    grid = Grid((z, y, x), scale, origin)
    return VesselMap.from_dense(name, volume, grid, signed=bool((volume < 0).any()))


def um_per_unit(name: str, units: Any) -> tuple[float, float, float]:
    """Micrometres in the unit of each of a layer's last three axes.

    Raises
    ------
    ResultsError
        A unit is none of length. Pixels, napari's default, count as micrometres, and that is
        shown: a layer without a scale is a volume all the same.
    """
    texts = [str(unit) for unit in (units or ("pixel",) * 3)][-3:]
    if any(text in ("pixel", "px", "") for text in texts):
        show_info(
            f"The layer '{name}' has no length unit; its scale was saved in micrometres. "
            "Set layer.units for another unit."
        )
    found = []
    for text in texts:
        factor = 1.0 if text in ("pixel", "px", "") else to_um(text)
        if factor is None:
            raise ResultsError(
                f"The layer '{name}' has the unit '{text}', which is not a supported length "
                "unit. Set layer.units to ('um', 'um', 'um')."
            )
        found.append(factor)
    return (found[0], found[1], found[2])


def _in_um(
    values: Any, um: tuple[float, float, float], default: float
) -> tuple[float, float, float]:
    given = (default,) * 3 if values is None else tuple(values)[-3:]
    z, y, x = (float(value) * factor for value, factor in zip(given, um, strict=True))
    return (z, y, x)
