"""Targets of a window: its bubbles, and the voxels assigned to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d._caches import njit
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S

__all__ = ["Bubbles", "Targets", "assign_voxels", "make_targets", "true_bubbles"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Bubbles:
    """True bubbles in the network's units.

    Attributes
    ----------
    frame
        (m,) int64, in the same frame numbers as the voxels' t.
    position
        (m, 3) fractional voxel indices z, y, x.
    velocity
        (m, 3) voxels per frame.
    level
        (m,) log10 of the ratio of amplitude to noise RMS; NaN without noise.
    """

    frame: Ints
    position: NDArray[np.float64]
    velocity: Floats
    level: Floats

    def window(self, start: int, stop: int) -> Bubbles:
        """Bubbles in frames start..stop-1, counted from 0 again."""
        rows = (self.frame >= start) & (self.frame < stop)
        return Bubbles(
            self.frame[rows] - start, self.position[rows], self.velocity[rows], self.level[rows]
        )


def true_bubbles(truth: pd.DataFrame, grid: Grid, rate_hz: float) -> Bubbles:
    """Convert a simulation's ground truth to voxels and frames."""
    velocity = truth[VELOCITY_MM_S].to_numpy(np.float64) * 1000 / rate_hz
    level = truth["snr_db"].to_numpy(np.float32) / 20
    return Bubbles(
        frame=truth["frame"].to_numpy(np.int64),
        position=grid.to_index(truth[POSITION_UM].to_numpy(np.float64)),
        velocity=(velocity / grid.spacing_um).astype(np.float32),
        level=np.where(np.isfinite(level), level, np.nan).astype(np.float32),
    )


@dataclass(frozen=True)
class Targets:
    """Bubbles in a window that can be found from the kept voxels.

    Attributes
    ----------
    voxel
        (m,) row of the prediction assigned to each bubble, -1 if none was left; rows are unique.
        With one bubble per voxel, rows are those of the voxels, otherwise as in `BubbleOutput`.
    near
        (m, k) rows of the kept voxels nearest to each bubble, nearest first, padded with -1; with
        two bubbles per voxel, both rows of each.
    offset
        (m, k, 3) float32 bubble minus voxel, voxels; padded with 0.
    frame
        (m,) int64.
    velocity, level
        As in `Bubbles`.
    axes
        (3,) whether positions along z, y, x are meaningful: axes with more than one voxel.
    """

    voxel: Ints
    near: Ints
    offset: Floats
    frame: Ints
    velocity: Floats
    level: Floats
    axes: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.voxel)


def make_targets(
    coordinates: NDArray[np.int32],
    shape: tuple[int, int, int, int],
    bubbles: Bubbles,
    reach: float = 1.5,
    neighbours: int = 12,
    per_voxel: int = 1,
) -> Targets:
    """Compute targets for kept voxels.

    A bubble without a kept voxel within `reach` cannot be found and is left out.

    Parameters
    ----------
    coordinates
        (n, 4) kept voxels t, z, y, x.
    shape
        (t, z, y, x) of the window.
    bubbles
        The true bubbles.
    reach
        Maximum distance of a voxel from a bubble, voxels.
    neighbours
        Maximum number of voxels per bubble.
    per_voxel
        Maximum number of bubbles assigned to a voxel.
    """
    axes = np.asarray(shape[1:]) > 1
    m = len(bubbles.frame)
    near = np.full((m, neighbours), -1, np.int64)
    offset = np.zeros((m, neighbours, 3), np.float32)
    distance = np.full((m, neighbours), np.inf)
    if m and len(coordinates):
        place = bubbles.position * axes
        # Time becomes another axis, stretched so that frames are out of reach of each other.
        stretch = 4 * (reach + 1)
        tree = cKDTree(np.column_stack([coordinates[:, 0] * stretch, coordinates[:, 1:] * axes]))
        points = np.column_stack([bubbles.frame * stretch, place])
        distance, rows = tree.query(
            points, np.arange(1, neighbours + 1), distance_upper_bound=reach
        )
        found = np.isfinite(distance)
        near = np.where(found, rows, -1).astype(np.int64)
        step = place[:, None] - coordinates[near, 1:] * axes
        offset = np.where(found[..., None], step, 0).astype(np.float32)
    seen = np.isfinite(distance[:, 0]) if m else np.zeros(0, bool)
    voxel = assign_voxels(near[seen], distance[seen], len(coordinates), per_voxel)
    rows = near[seen, :, None] * per_voxel + np.arange(per_voxel)
    return Targets(
        voxel=_rows_of(voxel, bubbles.level[seen], per_voxel),
        near=np.where(near[seen, :, None] < 0, -1, rows).reshape(-1, neighbours * per_voxel),
        offset=np.repeat(offset[seen], per_voxel, axis=1),
        frame=bubbles.frame[seen],
        velocity=bubbles.velocity[seen],
        level=bubbles.level[seen],
        axes=axes,
    )


def assign_voxels(
    near: Ints, distance: NDArray[np.float64], n_voxels: int, per_voxel: int = 1
) -> Ints:
    """Assign a voxel to each bubble, closest pairs first.

    If more bubbles share a voxel than it may have, the nearest ones get it, and the others their
    next nearest free voxel.

    Parameters
    ----------
    near
        (m, k) rows of voxels, -1 for none.
    distance
        (m, k) distances to these.
    n_voxels
        Number of voxels.
    per_voxel
        Maximum number of bubbles of a voxel.

    Returns
    -------
    (m,) voxel of each bubble, -1 if none was left.
    """
    order = np.argsort(distance, axis=None, kind="stable")
    return _assign(near, order, n_voxels, per_voxel)


def _rows_of(voxel: Ints, level: Floats, per_voxel: int) -> Ints:
    """Rows of the predictions of bubbles in these voxels: the brightest one of a voxel comes first."""
    order = np.lexsort((-level, voxel))
    _, first, counts = np.unique(voxel[order], return_index=True, return_counts=True)
    rank = np.empty(len(voxel), np.int64)
    rank[order] = np.arange(len(voxel)) - np.repeat(first, counts)
    return np.where(voxel < 0, -1, voxel * per_voxel + rank)


@njit(cache=True, nogil=True)
def _assign(near, order, n_voxels, per_voxel):  # type: ignore[no-untyped-def]
    m, k = near.shape
    voxel = np.full(m, -1, np.int64)
    taken = np.zeros(n_voxels, np.int64)
    for pair in order:
        bubble, row = pair // k, near[pair // k, pair % k]
        if row >= 0 and voxel[bubble] < 0 and taken[row] < per_voxel:
            voxel[bubble] = row
            taken[row] += 1
    return voxel
