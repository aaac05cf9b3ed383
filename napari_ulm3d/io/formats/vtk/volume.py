"""Vessel maps as VTK image data (``.vti``), which ParaView can overlay with ``.vtp`` tracks.

Format: "VTK XML file formats" (docs.vtk.org), ImageData, with values as raw little-endian bytes
appended after the XML, preceded by their length as UInt64. Origin and spacing are in micrometres
along x, y, z, and x varies fastest, which is the C order of (z, y, x).
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from napari_ulm3d.io.stored.dense_blocks import slabs
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_vti"]


def write_vti(map_: VesselMap, path: Path) -> None:
    """Write a map as float32 point data, streamed slab by slab.

    The origin is the centre of voxel (0, 0, 0), in micrometres like the points of the tracks.
    """
    nz, ny, nx = map_.shape
    extent = f"0 {nx - 1} 0 {ny - 1} 0 {nz - 1}"
    origin = " ".join(repr(float(o)) for o in reversed(map_.grid.origin_um))
    spacing = " ".join(repr(float(s)) for s in reversed(map_.grid.spacing_um))
    name = quoteattr(f"{map_.name} ({map_.unit})" if map_.unit else map_.name)
    head = "\n".join(
        [
            '<?xml version="1.0"?>',
            '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
            "<!-- Lengths are micrometres; x is lateral, y elevation, z depth (downwards). -->",
            f'<ImageData WholeExtent="{extent}" Origin="{origin}" Spacing="{spacing}">',
            f'<Piece Extent="{extent}">',
            f"<PointData Scalars={name}>",
            f'<DataArray type="Float32" Name={name} NumberOfComponents="1" format="appended" '
            'offset="0"/>',
            "</PointData>",
            "</Piece>",
            "</ImageData>",
            '<AppendedData encoding="raw">',
            "_",
        ]
    )
    with open(path, "wb") as file:
        file.write(head.encode())
        file.write(np.uint64(4 * prod(map_.shape)).astype("<u8").tobytes())
        for slab in slabs(map_):
            file.write(slab.astype("<f4", copy=False).tobytes())
        file.write(b"\n</AppendedData>\n</VTKFile>\n")
