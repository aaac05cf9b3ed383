"""Polylines as VTK's XML PolyData.

Format: "VTK XML file formats" (docs.vtk.org), with arrays as raw little-endian bytes
appended after the XML, each preceded by its length as UInt64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Column", "write_polylines"]

_VTK_TYPES = {"<f4": "Float32", "<f8": "Float64", "<i8": "Int64"}


class Column(NamedTuple):
    """Values of points or lines: (n,) or (n, components), stored as `dtype`."""

    name: str
    values: NDArray[Any]
    dtype: str


def write_polylines(
    path: Path,
    points_xyz: NDArray[np.float64],
    ends: NDArray[np.integer],
    point_data: Sequence[Column],
    cell_data: Sequence[Column],
    shown: Mapping[str, str],
) -> None:
    """Write lines with the data of their points and cells.

    Parameters
    ----------
    path
        File to write.
    (n, 3) points of all lines, one line after the other.
        (n, 3) points of all lines, line after line.
    ends
        (m,) cumulative number of points at the end of each line.
    point_data, cell_data
        Values of the n points and of the m lines.
    shown
        Attributes of the elements PointData ("point") and CellData ("cell").
    """
    body = _Appended()
    of_points = [body.array(*column) for column in point_data]
    of_cells = [body.array(*column) for column in cell_data]
    geometry = body.array("Points", points_xyz, "<f8")
    lines = [
        body.array("connectivity", np.arange(len(points_xyz)), "<i8"),
        body.array("offsets", ends, "<i8"),
    ]
    head = "\n".join(
        [
            '<?xml version="1.0"?>',
            '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
            "<PolyData>",
            f'<Piece NumberOfPoints="{len(points_xyz)}" NumberOfVerts="0" '
            f'NumberOfLines="{len(ends)}" NumberOfStrips="0" NumberOfPolys="0">',
            f"<PointData {shown['point']}>",
            *of_points,
            "</PointData>",
            f"<CellData {shown['cell']}>",
            *of_cells,
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
    """Collect arrays for the appended data, with their offsets."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._offset = 0

    def array(self, name: str, values: NDArray[Any], dtype: str) -> str:
        """Store an array (n,) or (n, components); return its XML element."""
        raw = np.ascontiguousarray(values, dtype)
        components = raw.shape[1] if raw.ndim == 2 else 1
        element = (
            f'<DataArray type="{_VTK_TYPES[dtype]}" Name="{name}" '
            f'NumberOfComponents="{components}" format="appended" offset="{self._offset}"/>'
        )
        self.arrays.append(raw.reshape(-1))
        self._offset += 8 + raw.nbytes
        return element
