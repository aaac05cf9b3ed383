"""Tracks as VTK polylines (XML PolyData) for ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.formats.vtk.polylines import Column, write_polylines
from napari_ulm3d.tables import Tracks

__all__ = ["write_vtp"]


def write_vtp(tracks: Tracks, path: Path) -> None:
    """Write one polyline per track; points are (x, y, z) in micrometres.

    Point data: frame, time_s, speed_mm_s, velocity_mm_s (x, y, z) and score. Cell data:
    track_id, length_um (along the line) and mean_speed_mm_s.
    """
    table = tracks.in_order().table
    identity = table["track_id"].to_numpy()
    starts = np.flatnonzero(np.append(True, np.diff(identity) != 0)[: identity.size])
    ends = np.append(starts[1:], identity.size)[: starts.size]
    points = table[["x_um", "y_um", "z_um"]].to_numpy(np.float64)
    steps = np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=1)
    steps[starts] = 0.0
    speed = table["speed_mm_s"].to_numpy(np.float64)

    def per_track(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add.reduceat(values, starts) if starts.size else np.zeros(0)

    velocity = table[["vx_mm_s", "vy_mm_s", "vz_mm_s"]].to_numpy()
    write_polylines(
        path,
        points,
        ends,
        [
            Column("frame", table["frame"].to_numpy(), "<i8"),
            Column("time_s", table["time_s"].to_numpy(), "<f8"),
            Column("speed_mm_s", speed, "<f4"),
            Column("velocity_mm_s", velocity, "<f4"),
            Column("score", table["score"].to_numpy(), "<f4"),
        ],
        [
            Column("track_id", identity[starts], "<i8"),
            Column("length_um", per_track(steps), "<f8"),
            Column("mean_speed_mm_s", per_track(speed) / np.maximum(ends - starts, 1), "<f4"),
        ],
        shown={
            "point": 'Scalars="speed_mm_s" Vectors="velocity_mm_s"',
            "cell": 'Scalars="track_id"',
        },
    )
