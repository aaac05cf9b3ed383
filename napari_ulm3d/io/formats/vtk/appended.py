"""VTK's XML files with raw appended data, as `write_vti` and `write_vtp` write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.stored.limits import check_free
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_polylines", "read_vti", "read_vtp"]

_HEAD_BYTES = 1 << 16
_TYPES = {"Float32": "<f4", "Float64": "<f8", "Int64": "<i8"}
_NAME_AND_UNIT = re.compile(r"^(.*?)(?: \((.*)\))?$")


def read_vti(path: Path) -> VesselMap:
    """A map from image data: its first array of points.

    Raises
    ------
    ResultsError
        It is not image data of this program.
    """
    head, body = _parted(path)
    image, array = head.find("ImageData"), head.find("ImageData/Piece/PointData/DataArray")
    if image is None or array is None:
        raise _not_ours(path)
    ends = [int(number) for number in image.get("WholeExtent", "").split()]
    spacing = [float(number) for number in image.get("Spacing", "").split()]
    origin = [float(number) for number in image.get("Origin", "").split()]
    if not (len(ends) == 6 and len(spacing) == len(origin) == 3 and not any(ends[::2])):
        raise _not_ours(path)
    z, y, x = ends[5] + 1, ends[3] + 1, ends[1] + 1
    check_free(str(path), 5 * z * y * x, "the map", "Free some memory.")
    values = _array(path, body, array).reshape(z, y, x)
    name, unit = _NAME_AND_UNIT.match(array.get("Name", "map")).groups()  # type: ignore[union-attr]
    grid = Grid((z, y, x), tuple(spacing[::-1]), tuple(origin[::-1]))  # type: ignore[arg-type]
    return VesselMap.from_dense(name, values, grid, unit or "", bool(np.any(values < 0)))


def read_vtp(path: Path) -> Tracks:
    """Tracks from polylines.

    Raises
    ------
    ResultsError
        The lines have no frames, times, velocities or identities.
    """
    import pandas as pd

    head, body = _parted(path)
    found = {array.get("Name"): array for array in head.iter("DataArray")}
    wanted = [
        "Points",
        "offsets",
        "track_id",
        "frame",
        "time_s",
        "velocity_mm_s",
        "speed_mm_s",
        "score",
        "connectivity",
    ]
    if not set(wanted) <= set(found):
        raise _not_ours(path)
    read = {name: _array(path, body, found[name]) for name in wanted}
    order = read["connectivity"].astype(np.int64)
    ends = read["offsets"].astype(np.int64)
    points = read["Points"].reshape(-1, 3)[order]
    velocity = read["velocity_mm_s"].reshape(-1, 3)[order]
    table = {
        "track_id": np.repeat(read["track_id"], np.diff(ends, prepend=0)),
        "frame": read["frame"][order],
        "time_s": read["time_s"][order],
        **dict(zip(("x_um", "y_um", "z_um"), points.T, strict=True)),
        **dict(zip(("vx_mm_s", "vy_mm_s", "vz_mm_s"), velocity.T, strict=True)),
        "speed_mm_s": read["speed_mm_s"][order],
        "score": read["score"][order],
    }
    return Tracks(pd.DataFrame({name: table[name] for name in Tracks.required})).in_order()


def read_polylines(
    path: Path, wanted: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Polylines and the data of their cells.

    Parameters
    ----------
    wanted
        Names of cell data that must be there.

    Returns
    -------
    Points (n, 3) x, y, z, line after line; (m,) cumulative number of points at the end of each
    line; values of the m lines by name.

    Raises
    ------
    ResultsError
        The file is damaged, or lacks something.
    """
    head, body = _parted(path)
    cells = {str(a.get("Name")): a for a in head.iterfind("PolyData/Piece/CellData/DataArray")}
    lines = {a.get("Name"): a for a in head.iterfind("PolyData/Piece/Lines/DataArray")}
    places = head.find("PolyData/Piece/Points/DataArray")
    if not (set(wanted) <= set(cells) and {"connectivity", "offsets"} <= set(lines)):
        raise _not_ours(path)
    if places is None:
        raise _not_ours(path)
    order = _array(path, body, lines["connectivity"]).astype(np.int64)
    ends = _array(path, body, lines["offsets"]).astype(np.int64)
    points = _array(path, body, places).astype(np.float64).reshape(-1, 3)
    if len(order) and not 0 <= order.min() <= order.max() < len(points):
        raise _not_ours(path)
    found = {name: _array(path, body, array) for name, array in cells.items()}
    if (len(ends) and (np.diff(ends, prepend=0) < 1).any()) or ends[-1:].sum() != len(order):
        raise _not_ours(path)
    if any(len(values) != len(ends) for values in found.values()):
        raise _not_ours(path)
    return points[order], ends, found


def _parted(path: Path) -> tuple[ElementTree.Element, int]:
    """The XML before the appended data, and where these begin."""
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    mark = re.search(rb'<AppendedData encoding="raw">\s*_', head)
    if mark is None or b"<!DOCTYPE" in head or b'byte_order="LittleEndian"' not in head:
        raise _not_ours(path)
    try:
        xml = ElementTree.fromstring(head[: mark.start()] + b"</VTKFile>")
    except ElementTree.ParseError as error:
        raise _not_ours(path) from error
    return xml, mark.end()


def _array(path: Path, body: int, element: ElementTree.Element) -> NDArray[Any]:
    """An array whose length, as UInt64, stands before its bytes."""
    kind = np.dtype(_TYPES.get(element.get("type", ""), "V"))
    offset = body + int(element.get("offset", "0"))
    if kind.kind == "V" or element.get("format") != "appended":
        raise _not_ours(path)
    with open(path, "rb") as file:
        file.seek(offset)
        size = int.from_bytes(file.read(8), "little")
        if size % kind.itemsize or offset + 8 + size > path.stat().st_size:
            raise ResultsError(f"{path}: is cut short. Copy it again.")
        return np.fromfile(file, kind, size // kind.itemsize)


def _not_ours(path: Path) -> ResultsError:
    return ResultsError(f"{path}: is not a map, tracks or vessels of this program.")
