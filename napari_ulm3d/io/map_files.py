"""Vessel maps read back from every format that they are written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io.formats.matlab.map_reader import read_mat_map
from napari_ulm3d.io.formats.nifti.map_reader import read_nifti_map
from napari_ulm3d.io.formats.numpy.map_reader import read_npy_map
from napari_ulm3d.io.formats.tiff.ome_writer import read_map as read_ome_tiff
from napari_ulm3d.io.formats.vtk.appended import read_vti
from napari_ulm3d.io.formats.zarr.ome_map import read_ome_zarr
from napari_ulm3d.io.stored.content import readable
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_map"]

_READERS: dict[tuple[str, ...], Callable[[Path], VesselMap]] = {
    (".tif", ".tiff"): read_ome_tiff,
    (".zarr",): read_ome_zarr,
    (".nii", ".nii.gz"): read_nifti_map,
    (".vti",): read_vti,
    (".mat",): read_mat_map,
    (".npy",): read_npy_map,
}


def read_map(path: str | PathLike[str]) -> VesselMap:
    """Read a map that `write` wrote, in any of its formats but ``.png``.

    Raises
    ------
    ResultsError
        The file is missing, damaged, or not a map of this program.
    """
    name = fspath(path)
    place = Path(name)
    if not place.exists():
        raise ResultsError(f"{name}: there is no such map. Check the path.")
    for suffixes, read in _READERS.items():
        if name.lower().endswith(suffixes):
            try:
                with readable(name, "a map"):
                    found = read(place)
                # Most formats record only in the name that a map is predicted.
                if found.name.startswith("predicted") and not found.predicted:
                    return replace(found, prediction={"task": "unknown"})
                return found
            except InputError as error:
                raise ResultsError(f"{name}: {error.problem}. Create it again.") from error
    known = " ".join(suffix for suffixes in _READERS for suffix in suffixes)
    raise ResultsError(f"{name}: is not a map. Maps are {known}.")
