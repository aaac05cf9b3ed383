"""Vessel maps and tables in MATLAB files, as `write_mat` writes them, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.stored.limits import check_free
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_mat_map", "read_mat_table"]

_AXES = {"z_um", "y_um", "x_um", "voxel_um", "axes", "unit"}


def read_mat_map(path: Path) -> VesselMap:
    """A map, ``[z, x, y]`` with the centres of its voxels.

    Raises
    ------
    ResultsError
        It is not a map of this program.
    """
    found = _of_v73(path) if _is_v73(path) else _of_v5(path)
    if found is None:
        raise ResultsError(f"{path}: is not a vessel map of this program.")
    name, volume, centres, voxel, unit = found
    origin = tuple(float(centre[0]) for centre in centres)
    grid = Grid(volume.shape, tuple(voxel.tolist()), origin)  # type: ignore[arg-type]
    return VesselMap.from_dense(name, volume, grid, unit, bool((volume < 0).any()))


def read_mat_table(path: Path) -> Localizations | Tracks:
    """Tracks or localizations, a struct of columns.

    Raises
    ------
    ResultsError
        It is not a table of this program.
    """
    import pandas as pd
    from scipy.io import loadmat, whosmat

    if not _is_v73(path):
        for name, _, kind in whosmat(path):
            if kind == "struct" and name in ("tracks", "localizations"):
                struct = loadmat(path, variable_names=[name])[name][0, 0]
                columns = {field: struct[field].ravel() for field in struct.dtype.names or ()}
                table = pd.DataFrame(columns)
                return Tracks(table) if name == "tracks" else Localizations(table)
    raise ResultsError(f"{path}: is not a table of this program.")


def _is_v73(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(10) == b"MATLAB 7.3"


def _of_v5(path: Path) -> Any:
    from scipy.io import loadmat, whosmat

    listed = {name: shape for name, shape, _ in whosmat(path)}
    volumes = [name for name in listed if name not in _AXES]
    if not set(listed) >= _AXES or len(volumes) != 1:
        return None
    check_free(str(path), 9 * int(np.prod(listed[volumes[0]])), "the map", "Free some memory.")
    held = loadmat(path, variable_names=[*volumes, *_AXES])
    if str(held["axes"][0]) != "zxy":
        return None
    centres = [held[f"{axis}_um"].ravel().astype(float) for axis in "zyx"]
    z, y, x = (c.size for c in centres)
    # MATLAB drops a last axis of one.
    volume = held[volumes[0]].reshape(z, x, y).transpose(0, 2, 1)
    return volumes[0], volume, centres, held["voxel_um"].ravel().astype(float), str(held["unit"][0])


def _of_v73(path: Path) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        volumes = [name for name in file if name not in _AXES]
        if not set(file) >= _AXES or len(volumes) != 1 or _text(file["axes"]) != "zxy":
            return None
        held = file[volumes[0]]
        check_free(str(path), 9 * int(held.size), "the map", "Free some memory.")
        centres = [np.asarray(file[f"{axis}_um"], float).ravel() for axis in "zyx"]
        voxel = np.asarray(file["voxel_um"], float).ravel()
        return volumes[0], np.asarray(held).transpose(2, 0, 1), centres, voxel, _text(file["unit"])


def _text(codes: Any) -> str:
    return np.asarray(codes, "<u2").ravel().tobytes().decode("utf-16-le")
