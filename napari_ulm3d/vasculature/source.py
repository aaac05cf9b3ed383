"""Open what vessels can be measured on: a results folder, a map, or any volume."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, MissingMetadataError, ResultsError
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import read_map
from napari_ulm3d.volumes import VesselMap

__all__ = ["open_source"]


def open_source(
    path: str | PathLike[str], load: LoadConfig | None = None
) -> ResultsFolder | VesselMap:
    """Open a results folder, or a volume as a map.

    Parameters
    ----------
    path
        A results folder; a map exported from one; a single volume in any acquisition format; or
        a boolean mask in ``.npy``.
    load
        Metadata that a volume lacks, above all its voxel size.

    Raises
    ------
    InputError
        The file cannot be read, has more than one frame, or has no voxel size.
    ResultsError
        The folder contains no run.
    """
    place = Path(path)
    if (place / "run.toml").is_file():
        return ResultsFolder.open(place)
    if place.name.lower().endswith((".tif", ".tiff")) and place.is_file():
        try:
            return read_map(place)
        except ResultsError:  # a TIFF from another program
            pass
    load = load or LoadConfig()
    if (mask := _truth_values(place)) is not None:
        return _as_map(place, mask, load)
    # A single volume has no frame rate.
    timeless = load.replace(rate_hz=1.0) if load.rate_hz is None else load
    acquisition = open_acquisition([place], timeless)
    if acquisition.n_frames != 1:
        raise InputError(
            place,
            f"has {acquisition.n_frames} frames, and vessels are measured on one volume",
            "Name a results folder or a map; the axes of a volume are given with --axes zyx.",
        )
    frame = np.abs(acquisition.sources[0].read(0, 1)[0])
    return VesselMap.from_dense(place.stem, frame, acquisition.grid)


def _truth_values(place: Path) -> np.ndarray | None:
    """The array of a boolean ``.npy`` file, which cannot be read as an acquisition."""
    if place.suffix.lower() != ".npy" or not place.is_file():
        return None
    try:
        data = np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return data if data.dtype == bool else None


def _as_map(place: Path, mask: np.ndarray, load: LoadConfig) -> VesselMap:
    if mask.ndim == 2:
        mask = mask[:, None]
    if mask.ndim != 3:
        raise InputError(place, f"has {mask.ndim} axes", "Save one array with the axes z, y, x.")
    if load.voxel_um is None:
        raise MissingMetadataError(
            place, ("voxel_um",), "Give --voxel-um Z Y X (micrometres between voxels)."
        )
    grid = Grid(mask.shape, load.voxel_um, load.origin_um or (0.0, 0.0, 0.0))
    return VesselMap.from_dense(place.stem, mask, grid)
