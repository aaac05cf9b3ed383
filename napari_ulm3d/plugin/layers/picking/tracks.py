"""Finding the track under the mouse, and marking tracks in the view."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.plugin.layers.convert import SPACE_LABELS, SPACE_UNITS
from napari_ulm3d.plugin.layers.place import make_layer, place, remove
from napari_ulm3d.tables import Tracks

__all__ = ["mark_tracks", "plane_of", "track_at"]

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
    """Mark these tracks with white lines in all planes; an empty selection removes the marks.

    With many tracks, the lines pass through every n-th point only.
    """
    rows = np.flatnonzero(np.isin(tracks.table["track_id"].to_numpy(), numbers))
    if not len(rows):
        remove(viewer, _ROLE)
        return
    rows = rows[:: -(-len(rows) // _MOST_MARKS)]
    width = _MARK_PIXELS / viewer.scene.camera.zoom
    vectors = _lines(tracks.positions_um[rows], tracks.table["track_id"].to_numpy()[rows], width)
    for axis in _hidden_axes(viewer):
        # napari draws tracks in every plane, so the marks are placed in the plane on display.
        vectors[:, 0, axis] = viewer.dims.point[axis - 3]
        vectors[:, 1, axis] = 0.0
    settings = {
        "name": "selected tracks",
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "edge_width": width,
        "edge_color": "white",
        "vector_style": "line",
        "opacity": 1.0,
        "blending": "translucent_no_depth",
    }
    # Vectors: napari adds them in less than half the time of points.
    place(viewer, make_layer((vectors, settings, "vectors"), _ROLE))


def plane_of(viewer: Any) -> tuple[Any, ...]:
    """What the marks depend on besides the tracks: the plane on display."""
    return (*viewer.dims.displayed, *(viewer.dims.point[axis - 3] for axis in _hidden_axes(viewer)))


def _hidden_axes(viewer: Any) -> list[int]:
    """Axes of (z, y, x) that a 2-D view does not show."""
    first = viewer.dims.ndim - 3
    return [axis for axis in range(3) if axis + first not in viewer.dims.displayed]


def _lines(points: NDArray[Any], owners: NDArray[Any], width: float) -> NDArray[Any]:
    """(n, 2, 3) starts and extents of lines through the points of each track; dots for single ones."""
    joined = owners[1:] == owners[:-1]
    alone = ~(np.append(joined, False) | np.append(False, joined))
    dot = np.array([0.0, 0.0, width])
    starts = np.concatenate([points[:-1][joined], points[alone] - dot / 2])
    extents = np.concatenate([np.diff(points, axis=0)[joined], np.tile(dot, (alone.sum(), 1))])
    return np.stack([starts, extents], axis=1)
