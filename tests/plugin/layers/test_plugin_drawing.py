"""Layers to draw on."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.components import ViewerModel

from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.layers.shapes.drawing import draw_shapes, drawing_layer, shapes_of


@pytest.mark.slow
def test_a_shape_is_in_view_at_every_depth_where_it_is_drawn() -> None:
    """napari cuts depths to whole units and would lose shapes past half a unit, such as 37.5."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((9, 5, 6)), scale=(37.5,) * 3, units=("um",) * 3)
    layer = make_layer(drawing_layer("measure", 5.0), "measure")
    viewer.add_layer(layer)
    for depth in [*(37.5 * np.arange(9)), 74.8]:
        viewer.dims.set_point(0, depth)
        corners = [[depth, 10, 10], [depth, 10, 90], [depth, 80, 90], [depth, 80, 10]]
        layer.add([layer.world_to_data(corner) for corner in corners], shape_type="rectangle")
        layer.selected_data = {layer.nshapes - 1}
        assert layer._selected_box is not None  # what the mouse drags while it draws
        np.testing.assert_allclose(layer.data_to_world(layer.data[-1][0]), corners[0], atol=1e-3)


def test_shapes_are_drawn_again_as_they_were() -> None:
    layer = make_layer(drawing_layer("region", 5.0), "region")
    layer.add(np.array([[5.0, 0, 0], [5, 0, 9], [5, 9, 9], [5, 9, 0]]), shape_type="ellipse")
    layer.add(np.array([[2.0, 0, 0], [2, 0, 9], [2, 9, 4]]), shape_type="polygon")
    kept = shapes_of(layer)
    draw_shapes(layer, ())
    assert shapes_of(layer) == ()
    draw_shapes(layer, kept)
    assert shapes_of(layer) == kept
