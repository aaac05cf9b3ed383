"""Layers for shapes drawn over a map."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.plugin.layers.convert import SPACE_LABELS, SPACE_UNITS, LayerData

__all__ = ["draw_shapes", "drawing_layer", "shapes_of"]

# napari rounds a shape's depth to whole data units and shows it within half a unit of that. At a
# depth of exactly n + 1/2, as maps of 37.5 um voxels have in every other section, a new shape is
# out of view at once and the drag that draws it fails. An origin off every round number prevents
# that; positions in the world are unchanged.
_OFF_ROUND_NUMBERS_UM = 0.00314159


def drawing_layer(name: str, edge_um: float) -> LayerData:
    """An empty Shapes layer (z, y, x) in um; outlines only, `edge_um` wide."""
    settings = {
        "name": name,
        "ndim": 3,
        "translate": (_OFF_ROUND_NUMBERS_UM,) * 3,
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "edge_color": "#ffd400",
        "face_color": "transparent",
        "edge_width": edge_um,
    }
    return [], settings, "shapes"


def shapes_of(layer: Any) -> tuple[Any, ...]:
    """The kind and corners of each shape of a layer, to be compared and drawn again."""
    return tuple(
        (str(kind), tuple(map(tuple, np.asarray(corners, float).tolist())))
        for kind, corners in zip(layer.shape_type, layer.data, strict=True)
    )


def draw_shapes(layer: Any, shapes: tuple[Any, ...]) -> None:
    """Replace all shapes of a layer by those of `shapes_of`."""
    layer.selected_data = set()
    layer.data = []
    for kind, corners in shapes:
        layer.add(np.array(corners), shape_type=kind)
