"""Vessel maps as a bare NumPy array (z, y, x): no grid, no units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ulm3d.io.stored.dense_blocks import slabs
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_npy"]


def write_npy(map_: VesselMap, path: Path) -> None:
    """Write the full volume as float32, slab by slab; `numpy.load` can memory-map it."""
    header = {"descr": "<f4", "fortran_order": False, "shape": map_.shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for slab in slabs(map_):
            file.write(slab.astype("<f4", copy=False).tobytes())
