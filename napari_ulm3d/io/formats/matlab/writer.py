"""Tables and vessel maps for MATLAB.

Tables and maps of up to 64 MB are written as version 5 files, which every program can read.
Larger maps are written as version 7.3 (HDF5), compressed chunk by chunk, so that the full
volume is never in memory. A map is ``[z, x, y]``, the order of Open-3DULM and PALA; the vectors
``z_um``, ``x_um``, ``y_um`` contain the voxel centres.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.stored.dense_blocks import occupied_blocks
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["write_mat"]

_V5_BYTES = 64 << 20
_BLOCK = 64


def write_mat(
    obj: Localizations | Tracks | VesselMap, path: Path, v5_bytes: int = _V5_BYTES
) -> None:
    """Write a table as a struct of column vectors, or a map with its axes.

    Parameters
    ----------
    obj
        ``tracks`` or ``localizations`` become the struct's name, a map's name its variable name.
    path
        Target file.
    v5_bytes
        Maps larger than this many bytes are written as version 7.3.
    """
    from scipy.io import savemat

    if not isinstance(obj, VesselMap):
        columns = {str(name): column.to_numpy() for name, column in obj.table.items()}
        savemat(path, {type(obj).__name__.lower(): columns}, oned_as="column", do_compression=True)
        return
    if 4 * obj.grid.size <= v5_bytes:
        volume = obj.dense().transpose(0, 2, 1)
        savemat(path, {obj.name: volume, **_axes(obj)}, oned_as="row", do_compression=True)
    else:
        _write_v73(obj, path)


def _axes(map_: VesselMap) -> dict[str, Any]:
    centres = {
        f"{axis}_um": origin + spacing * np.arange(n)
        for axis, n, spacing, origin in zip(
            "zyx", map_.shape, map_.grid.spacing_um, map_.grid.origin_um, strict=True
        )
    }
    voxel = np.asarray(map_.grid.spacing_um)  # an axis of one voxel has no step in its centres
    return {**centres, "voxel_um": voxel, "axes": "zxy", "unit": map_.unit or "a.u."}


def _write_v73(map_: VesselMap, path: Path) -> None:
    import h5py

    nz, ny, nx = map_.shape
    chunk = (min(_BLOCK, nz), min(_BLOCK, ny), min(_BLOCK, nx))
    with h5py.File(path, "w", userblock_size=512) as file:
        # MATLAB's first dimension is HDF5's last: [z, x, y] is stored as (y, x, z).
        volume = file.create_dataset(
            map_.name, (ny, nx, nz), "<f4",
            chunks=(chunk[1], chunk[2], chunk[0]), compression="gzip", compression_opts=1, fillvalue=0,
        )  # fmt: skip
        volume.attrs["MATLAB_class"] = np.bytes_("single")
        for (z, y, x), values in occupied_blocks(map_, chunk):
            volume[y, x, z] = values.transpose(1, 2, 0)
        for name, value in _axes(map_).items():
            _small(file, name, value)
    with open(path, "r+b") as raw:
        raw.write(_v73_header())


def _small(file: Any, name: str, value: NDArray[np.float64] | str) -> None:
    """Write a row vector of doubles, or text (UTF-16 codes with MATLAB's attributes)."""
    if isinstance(value, str):
        codes = np.frombuffer(value.encode("utf-16-le"), "<u2")
        text = file.create_dataset(name, data=codes[:, None])
        text.attrs["MATLAB_class"] = np.bytes_("char")
        text.attrs["MATLAB_int_decode"] = np.int32(2)
    else:
        row = file.create_dataset(name, data=value[:, None])
        row.attrs["MATLAB_class"] = np.bytes_("double")


def _v73_header() -> bytes:
    """The 128-byte header by which MATLAB recognizes the file: text, version 0x0200, byte order."""
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by napari-ulm3d HDF5 schema 1.00 ."
    return text.ljust(116) + b"\0" * 8 + b"\x00\x02IM"
