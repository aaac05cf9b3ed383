"""Finding the track under the mouse, and marking tracks in the view."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ulm3d.plugin.layers.convert import SPACE_LABELS, SPACE_UNITS
from napari_ulm3d.plugin.layers.place import make_layer, place, remove
from napari_ulm3d.tables import Tracks

__all__ = ["mark_tracks", "track_at"]

_ROLE = "chosen tracks"
_REACH_PIXELS = 8.0
_MARK_PIXELS = 5.0
_MOST_MARKS = 20_000


def track_at(viewer: Any, tracks: Tracks, position: Any, direction: Any = None) -> int | None:
    """The number of the track nearest to a position in the view; None if none is near.

    Parameters
    ----------
    position
        Mouse position in world coordinates.
    direction
        View direction in 3-D: tracks are searched along the whole ray.
    """
    if not len(tracks):
        return None
    at = np.asarray(position, float)[-3:]
    away = tracks.positions_um - at
    if viewer.dims.ndisplay == 3 and direction is not None:
        ray = np.asarray(direction, float)[-3:]
        ray = ray / np.linalg.norm(ray)
        away = away - (away @ ray)[:, None] * ray
    else:
        shown = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]
        away = away[:, shown]
    distance = np.linalg.norm(away, axis=1)
    nearest = int(distance.argmin())
    if distance[nearest] > _REACH_PIXELS / viewer.scene.camera.zoom:
        return None
    return int(tracks.table["track_id"].iloc[nearest])


def mark_tracks(viewer: Any, tracks: Tracks, numbers: tuple[int, ...]) -> None:
    """Mark these tracks with white points in all planes; an empty selection removes the marks.

    With many tracks, only every n-th point is shown, evenly along all of them.
    """
    chosen = tracks.positions_um[np.isin(tracks.table["track_id"].to_numpy(), numbers)]
    chosen = chosen[:: max(-(-len(chosen) // _MOST_MARKS), 1)]
    if not len(chosen):
        remove(viewer, _ROLE)
        return
    settings = {
        "name": "chosen tracks",
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "size": _MARK_PIXELS / viewer.scene.camera.zoom,
        "face_color": "white",
        "border_width": 0,
        "projection_mode": "rescale_linear",
    }
    # napari draws tracks in every plane, so the marks are placed in the plane on display.
    if viewer.dims.ndisplay == 2:
        for axis in range(3):
            if axis + viewer.dims.ndim - 3 not in viewer.dims.displayed:
                chosen[:, axis] = viewer.dims.point[axis - 3]
    place(viewer, make_layer((chosen, settings, "points"), _ROLE))
