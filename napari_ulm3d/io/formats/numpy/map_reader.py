"""Vessel maps in ``.npy``, as `write_npy` writes them, read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.formats.numpy.writer import MARK
from napari_ulm3d.io.stored.limits import check_free
from napari_ulm3d.volumes import VesselMap

__all__ = ["read_npy_map"]

_TAIL_BYTES = 4096


def read_npy_map(path: Path) -> VesselMap:
    """A map, by the line of text behind its values.

    Raises
    ------
    ResultsError
        It is not a map of this program.
    """
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        _, mark, tail = file.read().rpartition(MARK)
    if not mark:
        raise ResultsError(f"{path}: is not a vessel map of this program.")
    facts = json.loads(tail)
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    check_free(str(path), 5 * values.size, "the map", "Free some memory.")
    grid = Grid(values.shape, tuple(facts["spacing_um"]), tuple(facts["origin_um"]))
    return VesselMap.from_dense(
        facts["name"], np.asarray(values), grid, facts["unit"], facts["signed"]
    )
