"""Read what can be refined: a run, its folder, a map, an image, or a file of either."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, ResultsError
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import read_map
from napari_ulm3d.maps import density_maps
from napari_ulm3d.volumes import VesselMap

__all__ = ["Source", "image_map", "read_source"]

Source = VesselMap | Mapping[str, VesselMap] | ResultsFolder | str | PathLike[str] | Any

_READ = ("density", "speed", "velocity_z", "direction")
# Formats without axis names; they are read as one volume, z, y, x.
_NAMELESS = (".tif", ".tiff", ".npy", ".mat", ".h5", ".hdf5")
_MAP_SUFFIXES = (".ome.tif", ".ome.tiff")


def read_source(
    source: Source, load: Mapping[str, Any] | None = None
) -> tuple[dict[str, VesselMap], str]:
    """The maps to refine (at least ``density``) and the name of their source.

    Parameters
    ----------
    source
        A density map, maps by name, a run or any object with `maps`, a results folder or
        its path, a map file, or an image file of one volume.
    load
        Settings of `LoadConfig` for an image file: ``voxel_um``, ``axes``, ``variable``.

    Raises
    ------
    InputError, ResultsError, MissingMetadataError
        The source has no density map, or the file cannot be read.
    """
    if isinstance(source, VesselMap):
        return {"density": _as_density(source)}, source.name
    if isinstance(source, Mapping):
        return _chosen(source, "the maps given"), "maps"
    if isinstance(source, ResultsFolder):
        return _of_folder(source), os.fspath(source.path)
    if isinstance(source, (str, os.PathLike)):
        return _of_path(Path(source), load or {})
    maps = getattr(source, "maps", None)
    if isinstance(maps, Mapping):
        return _chosen(maps, "the run"), str(getattr(source, "folder", None) or "run")
    raise InputError(
        None,
        f"A {type(source).__name__} cannot be refined",
        "Give a map, maps by name, a run, a results folder or a file.",
    )


def image_map(
    data: NDArray[Any],
    spacing_um: Sequence[float],
    origin_um: Sequence[float] = (0.0, 0.0, 0.0),
    name: str = "image",
) -> VesselMap:
    """Convert an image from another program to a density map; zero is empty.

    Parameters
    ----------
    data
        (z, y, x), or (z, x) for a plane; image or mask. For labels, pass ``labels != 0``.
    spacing_um, origin_um
        z, y, x; for a plane also z, x.

    Raises
    ------
    InputError
        Other axes, no voxels, or negative, NaN, infinite or complex values.
    """
    array = np.asarray(data)
    spacing, origin = list(spacing_um), list(origin_um)
    if array.ndim == 2:
        array = array[:, None, :]
        if len(spacing) == 2:
            spacing.insert(1, max(spacing))
        if len(origin) == 2:
            origin.insert(1, 0.0)
    if array.ndim != 3 or not array.size:
        raise InputError(
            name,
            f"has {np.ndim(data)} axes {np.shape(data)}, and one volume z, y, x is needed",
            "Choose one frame and one channel.",
        )
    if array.dtype.kind not in "buif":
        raise InputError(name, f"holds {array.dtype}", "Give real numbers, such as the magnitude.")
    try:
        grid = Grid(array.shape, tuple(spacing), tuple(origin))  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(name, f"has an unusable scale: {error}", "Set its spacing.") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(name, "holds NaN or infinite values", "Set them to zero.")
    if array.dtype.kind in "if" and array.min() < 0:
        raise InputError(
            name,
            "holds negative values, and a density counts tracks",
            "Give a density or intensity, with 0 where nothing is.",
        )
    if array.dtype.kind == "f" and array.max() > np.finfo(np.float32).max:
        raise InputError(name, "holds values beyond single precision", "Divide them by a constant.")
    unit = "tracks" if _is_mask(array) else "a.u."
    return VesselMap.from_dense("density", array, grid, unit)


def _is_mask(array: NDArray[Any]) -> bool:
    held = array[array != 0]
    return held.size == 0 or bool((held == held.flat[0]).all())


def _as_density(source: VesselMap) -> VesselMap:
    if source.predicted:
        raise InputError(
            None,
            f"The map {source.name} was predicted already, and predictions are not refined again",
            "Give the measured map that it was made from.",
        )
    if source.signed:
        raise InputError(
            None,
            f"The map {source.name} is signed, and a density counts tracks",
            "Give the density map, or a results folder.",
        )
    return source


def _chosen(maps: Mapping[str, VesselMap], where: str) -> dict[str, VesselMap]:
    if "density" not in maps:
        have = ", ".join(maps) or "nothing"
        raise InputError(
            None, f"There is no density map in {where} ({have})", "Add it under the name density."
        )
    out = {name: maps[name] for name in _READ if name in maps}
    _as_density(out["density"])
    return out


def _of_folder(folder: ResultsFolder) -> dict[str, VesselMap]:
    return density_maps(folder, _READ)


def _of_path(path: Path, load: Mapping[str, Any]) -> tuple[dict[str, VesselMap], str]:
    name = os.fspath(path)
    if path.is_dir() and (path / "run.toml").is_file():
        return _of_folder(ResultsFolder.open(path)), name
    if not path.exists():
        raise InputError(path, "is not there", "Give a results folder, a map or an image file.")
    if name.lower().endswith(_MAP_SUFFIXES):
        try:
            return {"density": _as_density(read_map(path))}, name
        except ResultsError as error:
            if "is not a vessel map of this program" not in str(error):
                raise
    settings = {"rate_hz": 1.0, **load}
    if "axes" not in settings and name.lower().endswith(_NAMELESS):
        settings["axes"] = "zyx"
    acquisition = open_acquisition([path], LoadConfig.from_dict(settings))
    if acquisition.n_frames != 1:
        raise InputError(
            path,
            f"holds {acquisition.n_frames} frames, and a map is one volume",
            "Refine the density map of a run of it instead.",
        )
    volume = acquisition.read(0, 1)[0]
    if volume.dtype.kind == "c":
        raise InputError(path, "holds complex values", "Give a density or intensity.")
    grid = acquisition.grid
    return {"density": image_map(volume, grid.spacing_um, grid.origin_um, name)}, name
