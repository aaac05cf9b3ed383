"""The appearance of a layer as words and numbers, and restoring it."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.io.session_file import SavedLayer, SavedShape
from napari_ulm3d.plugin.layers.shapes.drawing import UNIT_UM, drawing_layer
from napari_ulm3d.plugin.layers.track_colors import (
    COLOUR_BAR,
    COLOURING,
    QUANTITIES,
    Colouring,
    apply_colouring,
    colormap_name,
    map_colormap,
    napari_colormap,
    title_colour_bar,
)
from napari_ulm3d.plugin.layers.track_span import SPAN, TrackSpan, apply_span, span_of
from napari_ulm3d.plugin.napari_private import overlay_of
from napari_ulm3d.volumes import VesselMap

__all__ = ["drawn_layer", "dress", "looks_of", "shapes_um"]

_WORDS = ("blending", "rendering", "projection_mode")


def looks_of(layer: Any) -> dict[str, Any]:
    """The fields of a `SavedLayer` that describe a layer's appearance."""
    looks: dict[str, Any] = {
        "name": layer.name[:300],
        "visible": bool(layer.visible),
        "opacity": float(layer.opacity),
        "blending": str(layer.blending),
    }
    if COLOURING in layer.metadata:
        colouring, span = layer.metadata[COLOURING], span_of(layer)
        looks["colour_by"] = colouring.by
        looks["colour_range"] = (colouring.low, colouring.high)
        if span.chosen:
            looks["last_frames"] = span.last_frames or 0
        bar = overlay_of(layer, COLOUR_BAR)
        looks["colour_bar"] = bar is not None and bool(bar.visible)
    elif _is_grey_image(layer):
        looks["colormap"] = colormap_name(layer.colormap)
        looks["contrast_limits"] = tuple(float(value) for value in layer.contrast_limits)
        looks["gamma"] = float(layer.gamma)
        looks["rendering"] = str(layer.rendering)
        looks["projection_mode"] = str(layer.projection_mode)
        looks["colour_bar"] = bool(layer.colorbar.visible)
    return looks


def dress(layer: Any, saved: SavedLayer) -> list[str]:
    """Apply the appearance to a layer; returns what napari does not know, as "blending 'xyz'"."""
    unknown = []

    def put(name: str, value: Any) -> None:
        try:
            setattr(layer, name, value)
        except (ValueError, KeyError):
            unknown.append(f"{name.replace('_', ' ')} '{value}'")

    layer.visible = saved.visible
    if saved.opacity is not None:
        layer.opacity = saved.opacity
    for name in _WORDS:
        value = getattr(saved, name)
        if value is not None and hasattr(layer, name):
            put(name, value)
    if COLOURING in layer.metadata:
        _dress_tracks(layer, saved)
    elif _is_grey_image(layer):
        _dress_image(layer, saved, unknown)
    return unknown


def _is_grey_image(layer: Any) -> bool:
    from napari.layers import Image

    return isinstance(layer, Image) and not layer.rgb


def _dress_image(layer: Any, saved: SavedLayer, unknown: list[str]) -> None:
    if saved.colormap is not None and saved.colormap != colormap_name(layer.colormap):
        shown = layer.metadata.get("ulm3d")
        try:
            layer.colormap = (
                map_colormap(saved.colormap, shown.signed)
                if isinstance(shown, VesselMap)
                else napari_colormap(saved.colormap)
            )
        except (KeyError, ValueError):
            unknown.append(f"colour map '{saved.colormap}'")
    limits = saved.contrast_limits
    if limits is not None and limits[0] < limits[1]:
        low, high = layer.contrast_limits_range
        layer.contrast_limits_range = (min(low, limits[0]), max(high, limits[1]))
        layer.contrast_limits = limits
    if saved.gamma is not None:
        layer.gamma = saved.gamma
    if saved.colour_bar is not None:
        layer.colorbar.visible = saved.colour_bar
        if isinstance(layer.metadata.get("ulm3d"), VesselMap):
            title_colour_bar(layer, saved.colour_bar)


def _dress_tracks(layer: Any, saved: SavedLayer) -> None:
    if saved.colour_by in QUANTITIES and saved.colour_range is not None:
        low, high = saved.colour_range
        if low < high:
            bar = saved.colour_bar is not False
            colouring = Colouring(saved.colour_by, low, high, chosen=True)
            if colouring != layer.metadata[COLOURING] or not bar:
                apply_colouring(layer, colouring, colour_bar=bar)
    if saved.last_frames is not None:
        apply_span(layer, TrackSpan(saved.last_frames or None, chosen=True))
    elif SPAN in layer.metadata and span_of(layer).chosen:
        layer.metadata = {key: v for key, v in layer.metadata.items() if key != SPAN}


# --- what was drawn ------------------------------------------------------------------------------


def shapes_um(layer: Any) -> tuple[SavedShape, ...] | None:
    """The shapes of a layer with their corners z, y, x in um; None if it has fewer axes."""
    if layer.ndim < 3:
        return None
    return tuple(
        SavedShape(
            kind=str(kind),
            corners_um=tuple(map(_place, (layer.data_to_world(corner) for corner in corners))),
        )
        for corners, kind in zip(layer.data, layer.shape_type, strict=True)
    )


def _place(world: Any) -> tuple[float, float, float]:
    z, y, x = (float(value) for value in world[-3:])
    return z, y, x


def drawn_layer(saved: SavedLayer) -> tuple[Any, list[str]]:
    """The layer data of saved shapes, and those that napari does not know."""
    data, settings, kind = drawing_layer(saved.name, saved.edge_width_um or 1.0)
    known = ("line", "rectangle", "ellipse", "path", "polygon")
    drawn = [shape for shape in saved.shapes if shape.kind in known]
    unknown = [f"shape '{shape.kind}'" for shape in saved.shapes if shape.kind not in known]
    if drawn:
        data = [np.array(shape.corners_um) / UNIT_UM for shape in drawn]
        settings["shape_type"] = [shape.kind for shape in drawn]
    return (data, settings, kind), unknown
