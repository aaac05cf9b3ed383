"""Vessel maps as a NumPy array (z, y, x); the grid stands in a line of text behind the values.

`numpy.load` and other programs read as many values as the header names and leave the line alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from napari_ulm3d.io.stored.dense_blocks import slabs
from napari_ulm3d.volumes import VesselMap

__all__ = ["MARK", "write_npy"]

#: Before the grid, name and unit behind the values.
MARK = b"\nnapari-ulm3d map "


def write_npy(map_: VesselMap, path: Path) -> None:
    """Write the full volume as float32, slab by slab; `numpy.load` can memory-map it."""
    header = {"descr": "<f4", "fortran_order": False, "shape": map_.shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for slab in slabs(map_):
            file.write(slab.astype("<f4", copy=False).tobytes())
        facts = {
            "name": map_.name,
            "unit": map_.unit,
            "signed": map_.signed,
            "spacing_um": map_.grid.spacing_um,
            "origin_um": map_.grid.origin_um,
        }
        file.write(MARK + json.dumps(facts).encode())
