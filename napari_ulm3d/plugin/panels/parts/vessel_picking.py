"""Clicking vessels in the view, and assigning tracks to vessels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.plugin.jobs.measure_vessels import Measured
from napari_ulm3d.plugin.layers.convert import VALUE, value_of
from napari_ulm3d.plugin.layers.picking.clicks import ViewClicks
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.layers.vessel_lines import VesselLines, vessel_at
from napari_ulm3d.tables import Tracks

__all__ = ["VesselPicking", "name_vessels_of_tracks"]

Drawn = Callable[[], tuple[VesselLines, NDArray[np.bool_]] | None]


class VesselPicking:
    """Reports which vessel was clicked in the view.

    Parameters
    ----------
    viewer
        The napari viewer.
    drawn
        Returns what can be clicked.
    choose
        Called with the vessel's row (None for a miss) and whether to add it to the selection.
    """

    def __init__(self, viewer: Any, drawn: Drawn, choose: Callable[[int | None, bool], None]):
        self._viewer, self._drawn, self._choose = viewer, drawn, choose
        self._clicks = ViewClicks(viewer, self._on_click)

    def end(self, *_: Any) -> None:
        """Stop listening."""
        self._clicks.end()

    def _on_click(self, event: Any) -> None:
        drawn = self._drawn()
        if drawn is None:
            return
        lines, shown = drawn
        direction, depth_um = _seen_along(self._viewer, event)
        pixel_um = 1.0 / max(float(self._viewer.scene.camera.zoom), 1e-9)
        at = np.asarray(event.position)[-3:]
        place = vessel_at(lines, at, direction, pixel_um, shown, depth_um)
        self._choose(place, "Control" in {str(key) for key in event.modifiers})


def _seen_along(viewer: Any, event: Any) -> tuple[NDArray[np.float64] | None, float]:
    """View direction and depth; for a slice, its normal and half its thickness."""
    if event.view_direction is not None:
        return np.asarray(event.view_direction)[-3:], np.inf
    dims = viewer.dims
    hidden = {0, 1, 2} - {axis - (dims.ndim - 3) for axis in dims.displayed}
    if len(hidden) != 1:
        return None, np.inf
    axis = hidden.pop()
    step = float(dims.range[axis + dims.ndim - 3][2])
    return np.eye(3)[axis], max(float(dims.thickness[axis + dims.ndim - 3]), step) / 2


def name_vessels_of_tracks(viewer: Any, measured: Measured) -> None:
    """Add a column ``vessel_id`` to the shown tracks, and the same feature to the drawn ones."""
    layer = find_layer(viewer, "tracks")
    tracks = measured.tracks
    if layer is None or tracks is None or value_of(layer, Tracks) is not tracks:
        return
    named = measured.graph.with_vessel(tracks)
    layer.metadata = {**layer.metadata, VALUE: named}
    table = named.table
    # Only some of many tracks are drawn, in the order of the table.
    drawn = table["track_id"].isin(np.unique(layer.data[:, 0]))
    if int(drawn.sum()) == len(layer.data):
        vessel = table.loc[drawn, "vessel_id"].to_numpy(np.float64)
        layer.features = layer.features.assign(vessel_id=vessel)
