"""Write vessel maps as OME-TIFF and read them back.

Axes are Z, Y, X with physical sizes and the origin (plane positions) in micrometres. A map
that is one voxel thick in y (a 2-D acquisition) is one image with depth running down.
Voxels are written with `deflate`, without the full volume in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io.formats.tiff.safety import opened_tiff
from napari_ulm3d.io.stored.content import readable
from napari_ulm3d.io.stored.limits import check_free
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_map", "write_ome_tiff"]

_STRIP_BYTES = 16 << 20
_CLASSIC_LIMIT = 3 << 30
_KEY = "napari_ulm3d"


def write_ome_tiff(map_: VesselMap, path: Path) -> None:
    """Write a map as deflate-compressed float32; BigTIFF if 4 GB might not suffice."""
    import tifffile

    nz, ny, nx = map_.shape
    (dz, dy, dx), (oz, oy, ox) = map_.grid.spacing_um, map_.grid.origin_um
    flat = ny == 1
    rows_of_page = nz if flat else ny
    rows = max(1, min(rows_of_page, _STRIP_BYTES // (4 * nx)))
    pages = 1 if flat else nz
    down, across_planes = (
        ((dz, oz), (dy, [oy])) if flat else ((dy, oy), (dz, oz + dz * np.arange(nz)))
    )
    unit = ["µm"] * pages
    metadata = {
        "axes": "YX" if flat else "ZYX",
        "Name": map_.name,
        "Description": json.dumps({_KEY: _description(map_)}),
        "PhysicalSizeX": dx,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": down[0],
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": across_planes[0],
        "PhysicalSizeZUnit": "µm",
        "Plane": {
            "PositionX": [ox] * pages,
            "PositionXUnit": unit,
            "PositionY": [down[1]] * pages,
            "PositionYUnit": unit,
            "PositionZ": [float(p) for p in across_planes[1]],
            "PositionZUnit": unit,
        },
    }
    # The compressed size is bounded by the stored voxels and 13 bits per 258 zero bytes.
    bound = 12 * map_.index.size + map_.grid.size // 30 + 2000 * pages
    with tifffile.TiffWriter(path, ome=True, bigtiff=bound > _CLASSIC_LIMIT, byteorder="<") as tiff:
        tiff.write(
            _strips(map_, rows, rows_of_page, pages),
            shape=(nz, nx) if flat else map_.shape,
            dtype="float32",
            photometric="minisblack",
            compression="adobe_deflate",
            rowsperstrip=rows,
            resolution=(1e4 / dx, 1e4 / down[0]),
            resolutionunit="CENTIMETER",
            metadata=metadata,
        )


def read_map(path: str | PathLike[str]) -> VesselMap:
    """Read a map written by `write_ome_tiff`; memory use grows with the non-empty voxels.

    Raises
    ------
    ResultsError
        The file is missing, damaged, or not a map of this program.
    """
    name = fspath(path)
    if not Path(name).is_file():
        raise ResultsError(f"{name}: there is no such map. Check the path.")
    try:
        with readable(name, "a map"), opened_tiff(name) as tiff:
            facts = _facts(tiff.ome_metadata)
            if facts is None:
                raise ResultsError(
                    f"{name}: is not a vessel map of this program. Open it as an image instead."
                )
            grid = Grid(
                tuple(facts["shape"]), tuple(facts["spacing_um"]), tuple(facts["origin_um"])
            )
            index, values, start = [], [], 0
            for page in tiff.pages:
                check_free(name, page.nbytes, "a plane of the map", "Free some memory.")
                data = page.asarray().ravel()
                held = np.flatnonzero(data)
                index.append(held + start)
                values.append(data[held])
                start += data.size
            if start != grid.size:
                raise ResultsError(
                    f"{name}: contains {start} voxels, not {grid.size}. Create it again."
                )
            return VesselMap(
                facts["name"], grid, np.concatenate(index), np.concatenate(values),
                facts["unit"], facts["signed"], facts.get("prediction"),
            )  # fmt: skip
    except InputError as error:
        raise ResultsError(f"{name}: {error.problem}. Create it again.") from error


def _description(map_: VesselMap) -> dict[str, Any]:
    return {
        "name": map_.name,
        "unit": map_.unit,
        "signed": map_.signed,
        "axes": "zyx",
        "shape": map_.shape,
        "spacing_um": map_.grid.spacing_um,
        "origin_um": map_.grid.origin_um,
        **({"prediction": dict(map_.prediction)} if map_.prediction is not None else {}),
    }


def _facts(xml: str | None) -> dict[str, Any] | None:
    if not xml:
        return None
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.endswith("}Description") and element.text:
            try:
                facts = json.loads(element.text).get(_KEY)
            except (ValueError, AttributeError):
                continue
            if isinstance(facts, dict):
                return facts
    return None


def _strips(map_: VesselMap, rows: int, rows_of_page: int, pages: int) -> Iterator[bytes]:
    """The zlib stream of every strip in file order; empty strips share one stream."""
    from napari_ulm3d.io.formats.tiff.deflate import deflate_sparse

    nx = map_.shape[2]
    empty: dict[int, bytes] = {}
    for page in range(pages):
        for row in range(0, rows_of_page, rows):
            start = (page * rows_of_page + row) * nx
            size = min(rows, rows_of_page - row) * nx
            low, high = np.searchsorted(map_.index, (start, start + size))
            if low < high:
                yield deflate_sparse(map_.index[low:high] - start, map_.values[low:high], size)
            else:
                if size not in empty:
                    empty[size] = deflate_sparse(map_.index[:0], map_.values[:0], size)
                yield empty[size]
