"""Distance from the centrelines to the surface of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_ulm3d._caches import njit
from napari_ulm3d.acquisition import Grid

__all__ = ["distance_outside"]

# Neighbours searched for a border voxel: a sphere of 10 voxels.
_SEARCHED = 4000


def distance_outside(
    mask: NDArray[np.bool_], at: NDArray[np.int64], grid: Grid
) -> NDArray[np.float64]:
    """(n,) distance from voxels `at` (n, 3) of a mask to its surface, micrometres.

    Border voxels are searched from each voxel outwards: a distance transform of a whole brain
    takes 1 GB, and a tree of all border voxels takes seconds.
    """
    held = np.array([mask.shape[k] > 1 or grid.shape[k] > 1 for k in range(3)])
    spacing = np.asarray(grid.spacing_um, np.float64)
    offsets = _spheres(spacing, held)
    apart = np.sqrt(((offsets * spacing) ** 2).sum(axis=1))
    distance = _to_border(np.ascontiguousarray(mask), np.asarray(at), offsets, apart, held)
    far = np.isnan(distance)
    if far.any():
        distance[far] = _far_from_border(mask, at[far], spacing, held)
    # The surface is half a voxel beyond the centre of a border voxel.
    return np.asarray(distance + float(spacing[held].mean()) / 2)


def _spheres(spacing: NDArray[np.float64], held: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(k, 3) steps to the voxels of a sphere, nearest first."""
    step = spacing[held]
    volume = 4 / 3 * np.pi if held.sum() == 3 else np.pi
    reach = (_SEARCHED * step.prod() / volume) ** (1 / len(step))
    sides = [
        np.arange(-int(reach / s), int(reach / s) + 1) if h else np.zeros(1, int)
        for s, h in zip(spacing, held, strict=True)
    ]
    steps = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
    square = ((steps * spacing) ** 2).sum(axis=1)
    order = np.argsort(square, kind="stable")
    return np.asarray(steps[order[: np.count_nonzero(square <= reach**2)]], np.int64)


@njit(cache=True, nogil=True)
def _to_border(
    mask: NDArray[np.bool_],
    at: NDArray[np.int64],
    offsets: NDArray[np.int64],
    apart: NDArray[np.float64],
    held: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(n,) distance to the nearest border voxel; NaN if it is beyond all offsets."""
    out = np.full(len(at), np.nan)
    for i in range(len(at)):
        for j in range(len(offsets)):
            z, y, x = at[i, 0] + offsets[j, 0], at[i, 1] + offsets[j, 1], at[i, 2] + offsets[j, 2]
            inside = 0 <= z < mask.shape[0] and 0 <= y < mask.shape[1] and 0 <= x < mask.shape[2]
            if not inside or not mask[z, y, x]:
                continue
            border = held[0] and (z == 0 or z == mask.shape[0] - 1)
            border |= held[1] and (y == 0 or y == mask.shape[1] - 1)
            border |= held[2] and (x == 0 or x == mask.shape[2] - 1)
            if not border and held[0]:
                border = not (mask[z - 1, y, x] and mask[z + 1, y, x])
            if not border and held[1]:
                border = not (mask[z, y - 1, x] and mask[z, y + 1, x])
            if not border and held[2]:
                border = not (mask[z, y, x - 1] and mask[z, y, x + 1])
            if border:
                out[i] = apart[j]
                break
    return out


def _far_from_border(
    mask: NDArray[np.bool_],
    at: NDArray[np.int64],
    spacing: NDArray[np.float64],
    held: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(n,) distance to the nearest border voxel, however far."""
    faces = ndimage.generate_binary_structure(3, 1)
    for axis in np.flatnonzero(~held):  # a plane has no border on its two sides
        faces = faces & (np.indices(faces.shape)[axis] == 1)
    border = np.argwhere(mask & ~ndimage.binary_erosion(mask, faces))
    distance, _ = cKDTree(border * spacing).query(at * spacing, workers=1)
    return np.asarray(distance)
