"""Vessel maps in NIfTI-1, as `write_nifti` writes them, read back."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.stored.limits import check_free
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_nifti_map"]

_OURS = re.compile(r"^(.*?)(?: \[(.*)\])?; mm = um/1000, z down \(no flip\)$")


def read_nifti_map(path: Path) -> VesselMap:
    """A map; NIfTI keeps lengths in single precision, so the grid is exact to seven digits.

    Raises
    ------
    ResultsError
        It is not a map of this program.
    """
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        head = file.read(352)
        said = _OURS.match(head[148:228].rstrip(b"\0").decode("ascii", "replace"))
        if len(head) < 352 or said is None or struct.unpack("<i", head[:4])[0] != 348:
            raise ResultsError(f"{path}: is not a vessel map of this program.")
        nx, ny, nz = struct.unpack("<3h", head[42:48])
        dx, dy, dz = struct.unpack("<3f", head[80:92])
        ox, oy, oz = struct.unpack("<3f", head[268:280])
        size = nx * ny * nz
        check_free(str(path), 9 * size, "the map", "Free some memory.")
        values = np.frombuffer(file.read(4 * size), "<f4")
    if values.size != size:
        raise ResultsError(f"{path}: is cut short. Copy it again.")
    um = [float(f"{1000 * value:.7g}") for value in (dz, dy, dx, oz, oy, ox)]
    grid = Grid((nz, ny, nx), (um[0], um[1], um[2]), (um[3], um[4], um[5]))
    name, unit = said.groups()
    volume = values.reshape(grid.shape)
    return VesselMap.from_dense(name, volume, grid, unit or "", bool((values < 0).any()))
