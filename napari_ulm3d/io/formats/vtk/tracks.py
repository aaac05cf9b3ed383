"""Tracks as VTK polylines (XML PolyData) that ParaView opens.

Format: "VTK XML file formats" (docs.vtk.org): arrays as raw little-endian bytes
appended after the XML, each led by its length as UInt64.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.tables import Tracks

__all__ = ["write_vtp"]

_VTK_TYPES = {"<f4": "Float32", "<f8": "Float64", "<i8": "Int64"}


def write_vtp(tracks: Tracks, path: Path) -> None:
    """Write one polyline a track; points are (x, y, z) in micrometres.

    Points carry frame, time_s, speed_mm_s, velocity_mm_s (x, y, z) and score; lines carry
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

    body = _Appended()
    point_data = [
        body.array("frame", table["frame"].to_numpy(), "<i8"),
        body.array("time_s", table["time_s"].to_numpy(), "<f8"),
        body.array("speed_mm_s", speed, "<f4"),
        body.array("velocity_mm_s", table[["vx_mm_s", "vy_mm_s", "vz_mm_s"]].to_numpy(), "<f4"),
        body.array("score", table["score"].to_numpy(), "<f4"),
    ]
    cell_data = [
        body.array("track_id", identity[starts], "<i8"),
        body.array("length_um", per_track(steps), "<f8"),
        body.array("mean_speed_mm_s", per_track(speed) / np.maximum(ends - starts, 1), "<f4"),
    ]
    geometry = body.array("Points", points, "<f8")
    lines = [
        body.array("connectivity", np.arange(identity.size), "<i8"),
        body.array("offsets", ends, "<i8"),
    ]
    head = "\n".join(
        [
            '<?xml version="1.0"?>',
            '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
            "<PolyData>",
            f'<Piece NumberOfPoints="{identity.size}" NumberOfVerts="0" '
            f'NumberOfLines="{starts.size}" NumberOfStrips="0" NumberOfPolys="0">',
            '<PointData Scalars="speed_mm_s" Vectors="velocity_mm_s">',
            *point_data,
            "</PointData>",
            '<CellData Scalars="track_id">',
            *cell_data,
            "</CellData>",
            f"<Points>{geometry}</Points>",
            "<Lines>",
            *lines,
            "</Lines>",
            "</Piece>",
            "</PolyData>",
            '<AppendedData encoding="raw">',
            "_",
        ]
    )
    with open(path, "wb") as file:
        file.write(head.encode())
        for raw in body.arrays:
            file.write(np.uint64(raw.nbytes).astype("<u8").tobytes())
            file.write(raw.data)
        file.write(b"\n</AppendedData>\n</VTKFile>\n")


class _Appended:
    """Collects arrays for the file's end and names their places."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._offset = 0

    def array(self, name: str, values: NDArray[Any], dtype: str) -> str:
        """Keep an array (n,) or (n, components); its XML element."""
        raw = np.ascontiguousarray(values, dtype)
        components = raw.shape[1] if raw.ndim == 2 else 1
        element = (
            f'<DataArray type="{_VTK_TYPES[dtype]}" Name="{name}" '
            f'NumberOfComponents="{components}" format="appended" offset="{self._offset}"/>'
        )
        self.arrays.append(raw.reshape(-1))
        self._offset += 8 + raw.nbytes
        return element
