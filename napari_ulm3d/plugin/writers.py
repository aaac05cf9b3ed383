"""Saving layers from the viewer: tracks and localizations, vessel maps, vessels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.writers import suffixes_for
from napari_ulm3d.plugin.layers.convert import VALUE
from napari_ulm3d.plugin.layers.volume_of import has_length_unit, volume_of
from napari_ulm3d.plugin.notices import show_info
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_localizations", "write_map", "write_tracks", "write_vessels"]

Value = TypeVar("Value")


def write_tracks(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save the whole table of a Tracks layer of this plugin as .csv, .parquet or .vtp.

    Raises
    ------
    ResultsError
        The layer was not made by this plugin, so it has no velocities and times.
    """
    return _write_table(path, _value(attributes, Tracks, "so it has no velocity table to save"))


def write_localizations(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save the whole table of localizations of a Points layer of this plugin.

    Raises
    ------
    ResultsError
        The layer was not made by this plugin.
    """
    why = "so it has no table of localizations to save"
    return _write_table(path, _value(attributes, Localizations, why))


def _write_table(path: str, table: Tracks | Localizations) -> list[str]:
    from napari_ulm3d.io.writers import write

    path = _with_suffix(path, suffixes_for(type(table)), ".csv")
    write(table, path)
    return [path]


def write_vessels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save the vessels of a Vectors layer of this plugin.

    Raises
    ------
    ResultsError
        The layer was not made by this plugin.
    """
    from napari_ulm3d.vasculature import VesselGraph
    from napari_ulm3d.vasculature.formats import SUFFIXES

    graph = _value(attributes, VesselGraph, "so it has no vessels to save")
    path = _with_suffix(path, SUFFIXES, ".graphml")
    graph.write(path)
    return [path]


def write_map(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save an image layer as OME-TIFF, NIfTI or VTK with its scale; vessel maps in full resolution.

    Scale and position are converted from the layer's units to the file's.

    Raises
    ------
    ResultsError
        The layer is not a volume (z, y, x), or its unit is not a length.
    """
    from napari_ulm3d.io.writers import write

    vessels = _as_map(data, attributes)
    path = _with_suffix(path, suffixes_for(VesselMap), ".ome.tif")
    write(vessels, path)
    return [path]


def _value(attributes: dict[str, Any], kind: type[Value], lack: str) -> Value:
    value = attributes.get("metadata", {}).get(VALUE)
    if not isinstance(value, kind):
        raise ResultsError(
            f"The layer '{attributes.get('name', '')}' was not made by ULM 3D, {lack}. Save it with "
            "napari's own writer instead."
        )
    return value


def _with_suffix(path: str, known: Sequence[str], suffix: str) -> str:
    """The path, with a suffix if it has no known one, because napari suggests the layer's name.

    Raises
    ------
    ResultsError
        The file with the suffix exists, and napari asked only about the name without it.
    """
    if path.lower().endswith(tuple(known)):
        return path
    if Path(f"{path}{suffix}").exists():
        raise ResultsError(
            f"{path}{suffix}: already exists. Type this name with its suffix to replace it."
        )
    show_info(f"Saved as {path}{suffix}")
    return f"{path}{suffix}"


def _as_map(data: Any, attributes: dict[str, Any]) -> VesselMap:
    value = attributes.get("metadata", {}).get(VALUE)
    if isinstance(value, VesselMap):
        return value
    name, units = str(attributes.get("name", "layer")), attributes.get("units")
    if not has_length_unit(units) and np.ndim(data) == 3:
        show_info(
            f"The layer '{name}' has no length unit; its scale was saved in micrometres. "
            "Set layer.units for another unit."
        )
    return volume_of(name, data, attributes.get("scale"), attributes.get("translate"), units)
