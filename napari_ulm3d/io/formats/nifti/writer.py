"""Vessel maps as NIfTI-1: axes x, y, z, millimetres, streamed slab by slab.

The layout follows the NIfTI-1 header definition (nifti1.h, Cox et al. 2004). x is lateral, y
elevation and z depth, pointing down; the affine contains spacing and origin, without rotation or
flip. Its millimetres are the tracks' micrometres divided by 1000. Programs that expect z to point
up (Slicer, FSLeyes) show the volume upside down; VTK's NIfTI reader ignores the origin.
"""

from __future__ import annotations

import gzip
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.io.stored.dense_blocks import slabs
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_nifti"]

_FLOAT32 = 16
_MM_AND_S = 2 | 8
_SCANNER = 1


def write_nifti(map_: VesselMap, path: Path) -> None:
    """Write a map as float32, gzip-compressed if the suffix is ``.nii.gz``.

    Raises
    ------
    ConfigError
        An axis is longer than 32767 voxels, the limit of NIfTI-1.
    """
    if max(map_.shape) > 32767:
        raise ConfigError(
            "NIfTI-1 allows at most 32767 voxels along an axis, but the map has "
            f"{max(map_.shape)}. Write .ome.tif or .zarr instead."
        )
    with ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile = stack.enter_context(open(path, "wb"))
        if path.name.lower().endswith(".gz"):
            # Maps are nearly all zeros: even the fastest level compresses them well.
            file = stack.enter_context(
                gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=1, mtime=0)
            )
        file.write(_header(map_))
        # x varies fastest in the file, which is the C order of (z, y, x).
        for slab in slabs(map_):
            file.write(slab.astype("<f4", copy=False).tobytes())


def _header(map_: VesselMap) -> bytes:
    """The 348 header bytes and the 4 bytes that indicate no extension."""
    nz, ny, nx = map_.shape
    dz, dy, dx = (s / 1000 for s in map_.grid.spacing_um)
    oz, oy, ox = (o / 1000 for o in map_.grid.origin_um)
    least, most = (
        (float(map_.values.min()), float(map_.values.max())) if map_.values.size else (0.0, 0.0)
    )
    # At most 79 characters, with what is needed to overlay tracks in um, z pointing down.
    text = f"{map_.name} [{map_.unit}]" if map_.unit else map_.name
    text = f"{text[:48]}; mm = um/1000, z down (no flip)"
    return b"".join(
        (
            struct.pack("<i36x", 348),
            struct.pack("<8h", 3, nx, ny, nz, 1, 1, 1, 1),
            struct.pack("<3f4h", 0, 0, 0, 0, _FLOAT32, 32, 0),
            struct.pack("<8f", 1, dx, dy, dz, 1, 1, 1, 1),
            struct.pack("<3fhBB", 352, 1, 0, 0, 0, _MM_AND_S),
            struct.pack("<4f2i", max(most, 0.0), min(least, 0.0), 0, 0, 0, 0),
            struct.pack("<80s24s", text.encode("ascii", "replace")[:79], b""),
            struct.pack("<2h", _SCANNER, _SCANNER),
            struct.pack("<6f", 0, 0, 0, ox, oy, oz),
            struct.pack("<12f", dx, 0, 0, ox, 0, dy, 0, oy, 0, 0, dz, oz),
            struct.pack("<16s4s4x", map_.name.encode("ascii", "replace")[:15], b"n+1"),
        )
    )
