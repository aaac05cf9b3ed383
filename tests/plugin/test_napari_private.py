"""Everything private of napari that the plugin uses is there in the installed one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_ulm3d.plugin import napari_private as private


def test_the_installed_napari_has_what_we_rely_on(viewer: Any) -> None:
    from napari.components.overlays import ColorBarOverlay
    from napari.layers import Points
    from qtpy.QtWidgets import QMainWindow

    assert isinstance(private.main_window(viewer), QMainWindow)
    height, width = private.canvas_size(viewer)
    assert viewer.screenshot(canvas_only=True, flash=False).shape[:2] == (height, width)
    layer = viewer.add_tracks(np.array([[0, 0, 1, 1], [0, 1, 2, 2]], float))
    assert private.overlay_of(layer, "ours") is None
    bar = ColorBarOverlay()
    private.add_overlay(layer, "ours", bar)
    assert private.overlay_of(layer, "ours") is bar
    assert list(layer._overlays)[-2:] == ["ours", "layer_name"]  # the title stands beside it
    assert private.is_being_drawn(viewer.add_shapes()) is False
    private.insert_unselected(viewer.layers, 0, Points(np.zeros((1, 3))))
    assert [layer is viewer.layers.selection.active for layer in viewer.layers] == [
        False,
        False,
        True,
    ]
    viewer.layers.insert(0, Points(np.zeros((1, 3))))
    assert viewer.layers.selection.active is viewer.layers[0]  # as napari does by itself
    assert private.files_being_opened() == []  # and says so if `ViewerModel.open` is another one


def test_a_model_without_a_window_has_none() -> None:
    from napari.components import ViewerModel

    assert private.main_window(ViewerModel()) is None


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: private.canvas_size(SimpleNamespace(window=object())), "_qt_viewer"),
        (lambda: private.main_window(SimpleNamespace(window=object())), "_qt_window"),
        (lambda: private.overlay_of(object(), "ours"), "_overlays"),
        (lambda: private.is_being_drawn(object()), "_is_creating"),
        (lambda: private.add_overlay(object(), "ours", None), "_overlays"),
        (lambda: private.insert_unselected(object(), 0, None), "_activate_on_insert"),
    ],
)
def test_another_napari_is_told_in_a_sentence(call: Any, what: str) -> None:
    with pytest.raises(private.NapariChangedError, match=rf"no longer has .*{what}.*pip install"):
        call()
