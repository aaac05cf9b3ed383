"""Adapting layers and view when an acquisition is opened or the display mode changes."""

from __future__ import annotations

from typing import Any

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import ROLE, set_aside
from napari_ulm3d.plugin.layers.track_colors import complete_colouring
from napari_ulm3d.plugin.layers.track_span import suit_display
from napari_ulm3d.plugin.layers.vessel_view import fit_view
from napari_ulm3d.tables import Tracks

__all__ = ["face_frames", "set_aside", "suit_tracks", "take"]

_VESSELS = "vessels"


def take(viewer: Any, layer: Any) -> Acquisition | None:
    """Complete a newly added layer; returns its acquisition if it shows one."""
    complete_colouring(layer)
    if layer.metadata.get(ROLE) == _VESSELS:
        from napari_ulm3d.plugin.layers.vessel_lines import complete_vessels

        complete_vessels(viewer, layer)
    _suit(viewer, layer)
    acquisition: Acquisition | None = value_of(layer, Acquisition)
    return acquisition


def suit_tracks(viewer: Any) -> None:
    """Show as much of the tracks as suits the display mode."""
    for layer in viewer.layers:
        _suit(viewer, layer)


def face_frames(viewer: Any, acquisition: Acquisition) -> None:
    """Show a plane of depth against lateral position, as usual in ultrasound."""
    layer = next((la for la in viewer.layers if value_of(la, Acquisition) is acquisition), None)
    if layer is None or viewer.dims.ndim != 4:
        return
    viewer.dims.ndisplay = 2
    viewer.dims.order = (0, 2, 1, 3)
    # A slice one voxel thick shows the bubbles and fine maps within it.
    viewer.dims.thickness = (0.0, *acquisition.grid.spacing_um)
    viewer.canvas.overlays.scale_bar.visible = True
    fit_view(viewer, layer)


def _suit(viewer: Any, layer: Any) -> None:
    if value_of(layer, Tracks) is not None:
        suit_display(layer, viewer.dims.ndisplay)
