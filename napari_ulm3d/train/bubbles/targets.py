"""What a window should be predicted as: its bubbles, and the voxels that stand for them."""

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
        (m,) int64, counted like the voxels' t.
    position
        (m, 3) fractional voxel indices z, y, x.
    velocity
        (m, 3) voxels a frame.
    level
        (m,) log10 of the amplitude over the noise's rms; NaN without noise.
    """

    frame: Ints
    position: NDArray[np.float64]
    velocity: Floats
    level: Floats

    def window(self, start: int, stop: int) -> Bubbles:
        """Those of frames start..stop-1, counted from 0 again."""
        rows = (self.frame >= start) & (self.frame < stop)
        return Bubbles(
            self.frame[rows] - start, self.position[rows], self.velocity[rows], self.level[rows]
        )


def true_bubbles(truth: pd.DataFrame, grid: Grid, rate_hz: float) -> Bubbles:
    """A simulation's truth in voxels and frames."""
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
    """The bubbles of a window that a kept voxel can stand for.

    Attributes
    ----------
    voxel
        (m,) row of the voxel that stands for each bubble, -1 where none was left; no row twice.
    near
        (m, k) rows of the kept voxels nearest to each bubble, nearest first, -1 beyond.
    offset
        (m, k, 3) float32 bubble minus voxel, voxels; 0 beyond.
    frame
        (m,) int64.
    velocity, level
        As of `Bubbles`.
    axes
        (3,) whether positions along z, y, x mean something: axes of more than one voxel.
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
) -> Targets:
    """Targets of kept voxels.

    A bubble without a kept voxel within `reach` cannot be found from them and is left out.

    Parameters
    ----------
    coordinates
        (n, 4) kept voxels t, z, y, x.
    shape
        (t, z, y, x) of the window.
    bubbles
        The true ones.
    reach
        Farthest a voxel may be from a bubble, voxels.
    neighbours
        At most this many voxels a bubble.
    """
    axes = np.asarray(shape[1:]) > 1
    m = len(bubbles.frame)
    near = np.full((m, neighbours), -1, np.int64)
    offset = np.zeros((m, neighbours, 3), np.float32)
    distance = np.full((m, neighbours), np.inf)
    if m and len(coordinates):
        place = bubbles.position * axes
        # Time becomes an axis on which frames are out of one another's reach.
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
    return Targets(
        voxel=assign_voxels(near[seen], distance[seen], len(coordinates)),
        near=near[seen],
        offset=offset[seen],
        frame=bubbles.frame[seen],
        velocity=bubbles.velocity[seen],
        level=bubbles.level[seen],
        axes=axes,
    )


def assign_voxels(near: Ints, distance: NDArray[np.float64], n_voxels: int) -> Ints:
    """Each bubble its own voxel, closest pairs first.

    Two bubbles in one voxel come apart: the nearer one takes it, the other its next nearest
    voxel that is free.

    Parameters
    ----------
    near
        (m, k) rows of voxels, -1 for none.
    distance
        (m, k) their distances.
    n_voxels
        Number of voxels.

    Returns
    -------
    (m,) the voxel of each bubble, -1 where none was left.
    """
    order = np.argsort(distance, axis=None, kind="stable")
    return _assign(near, order, n_voxels)


@njit(cache=True, nogil=True)
def _assign(near, order, n_voxels):  # type: ignore[no-untyped-def]
    m, k = near.shape
    voxel = np.full(m, -1, np.int64)
    taken = np.zeros(n_voxels, np.bool_)
    for pair in order:
        bubble, row = pair // k, near[pair // k, pair % k]
        if row >= 0 and voxel[bubble] < 0 and not taken[row]:
            voxel[bubble] = row
            taken[row] = True
    return voxel
