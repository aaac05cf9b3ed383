"""Layers for shapes drawn over a map."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.plugin.layers.convert import SPACE_LABELS, SPACE_UNITS, LayerData

__all__ = ["UNIT_UM", "draw_shapes", "drawing_layer", "shapes_of"]

#: Micrometres per unit of the layer's data.
# napari truncates a shape's depth to whole data units and shows it within half a unit of that. At
# a depth of 37.5 or 74.8 units it vanishes at once, and the drag that draws it fails. In units
# of 10 cm, all depths up to 5 cm become 0, and every shape is visible in all sections.
UNIT_UM = 1e5


def drawing_layer(name: str, edge_um: float) -> LayerData:
    """An empty Shapes layer (z, y, x) with world units of um; outlines only, `edge_um` wide."""
    settings = {
        "name": name,
        "ndim": 3,
        "scale": (UNIT_UM,) * 3,
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "edge_color": "#ffd400",
        "face_color": "transparent",
        "edge_width": edge_um / UNIT_UM,
    }
    return [], settings, "shapes"


def shapes_of(layer: Any) -> tuple[Any, ...]:
    """The kind and corners of each shape in a layer, for comparing and redrawing."""
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
