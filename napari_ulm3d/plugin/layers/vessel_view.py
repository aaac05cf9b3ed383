"""The standard view of a result: its whole vessel map alone, with a colour bar and a scale bar."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import ROLE, find_layer
from napari_ulm3d.plugin.layers.track_colors import title_colour_bar
from napari_ulm3d.volumes import VesselMap

__all__ = ["fit_view", "look_at_a_plane", "show_vessel_map"]

#: The plugin's layers that stay visible with a map: regions drawn by the user.
_BESIDE_A_MAP = ("map", "region", "measure")

# Camera directions (z, y, x), as usual for ultrasound images: the probe on top and x to
# the right, a little from above and from the side.
_LOOKING, _UPWARDS = (0.35, -0.85, 0.3), (-1.0, 0.0, 0.0)
_FILLED = 0.9


def show_vessel_map(viewer: Any, *, keep_camera: bool = False) -> bool:
    """Show the vessel map of the last result and hide the plugin's other layers.

    A volume is shown in 3-D as a maximum projection with depth downwards, a plane in 2-D;
    the view is fitted to it. Layers that are not the plugin's stay as they are.

    Parameters
    ----------
    keep_camera
        Leave the camera as it is if the view shows the map already.

    Returns
    -------
    Whether there is a map to show.
    """
    layer = find_layer(viewer, "map")
    vessels = None if layer is None else value_of(layer, VesselMap)
    if vessels is None:
        return False
    flat = 1 in vessels.shape
    n_displayed = 2 if flat else 3
    seen = bool(layer.visible) and viewer.dims.ndisplay == n_displayed
    for other in viewer.layers:
        role = other.metadata.get(ROLE)
        ours = role is not None or value_of(other, Acquisition) is not None
        if ours and role not in _BESIDE_A_MAP:
            other.visible = False
    layer.visible = True
    layer.colorbar.visible = True
    title_colour_bar(layer)
    keep = keep_camera and seen
    if flat:
        _look_along(viewer, vessels.shape.index(1))
    elif not keep:
        # In the order (y, z, x) napari's camera is right-handed, in (z, y, x) it is mirrored;
        # and switching to 2-D from here shows depth against lateral position.
        _look_along(viewer, 1)
    viewer.dims.ndisplay = n_displayed
    viewer.canvas.overlays.scale_bar.visible = True
    viewer.layers.selection.active = layer
    if not keep:
        fit_view(viewer, layer)
    return True


def fit_view(viewer: Any, layer: Any) -> None:
    """Fill the canvas with a layer.

    napari's own fit includes all layers, even hidden ones, and rejects a layer with fewer axes than
    the viewer.
    """
    camera = viewer.scene.camera
    offset = viewer.dims.ndim - layer.ndim
    axes = [axis - offset for axis in viewer.dims.displayed]
    low, high = np.asarray(layer.extent.world)[:, axes]
    if len(axes) == 3:
        space = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]
        looking, upwards = (tuple(np.asarray(way)[space]) for way in (_LOOKING, _UPWARDS))
        camera.set_view_direction(looking, upwards)
        up = np.asarray(camera.up_direction)
        across = np.cross(up, camera.view_direction)
    else:
        up, across = np.eye(2)
    width, height = (float(np.abs(way) @ (high - low)) for way in (across, up))
    camera.center = (low + high) / 2
    rows, columns = viewer.canvas.size
    camera.zoom = _FILLED * min(rows / max(height, 1e-9), columns / max(width, 1e-9))


def look_at_a_plane(viewer: Any) -> None:
    """Leave 3-D, where nothing can be drawn, and fit the view to replace the 3-D camera's."""
    if viewer.dims.ndisplay == 2:
        return
    viewer.dims.ndisplay = 2
    shown = find_layer(viewer, "map") or next((la for la in viewer.layers if la.visible), None)
    if shown is not None:
        fit_view(viewer, shown)


def _look_along(viewer: Any, axis: int) -> None:
    """Show the plane perpendicular to an axis of (z, y, x)."""
    order = list(range(viewer.dims.ndim - 3))
    space = [len(order) + k for k in range(3)]
    order += [space.pop(axis), *space]
    if tuple(order) != tuple(viewer.dims.order):
        viewer.dims.order = tuple(order)
