"""Which true bubbles survive a sparsification: those with a kept voxel beside them."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate.pairing import inner
from napari_ulm3d.evaluate.truth import Truth
from napari_ulm3d.sparse_frames import SparseFrames

__all__ = ["bubbles_kept", "survival"]


def bubbles_kept(
    mask: NDArray[np.bool_], positions_um: NDArray[np.float64], grid: Grid
) -> NDArray[np.bool_]:
    """Which bubbles of a frame have a kept voxel within one voxel, along every axis.

    Parameters
    ----------
    mask
        (z, y, x) voxels kept.
    positions_um
        (n, 3) bubbles, inside the grid or not.
    grid
        Grid of the mask.

    Returns
    -------
    (n,) bool.
    """
    if mask.shape != grid.shape:
        raise ValueError(f"mask {mask.shape} and grid {grid.shape} differ in shape")
    place = grid.to_index(positions_um)
    nearest = np.rint(place).astype(np.int64)
    kept = np.zeros(len(place), bool)
    upper = np.asarray(grid.shape)
    resolved = upper > 1
    for step in product((-1, 0, 1), repeat=3):
        voxel = nearest + step
        # A single voxel says nothing about a bubble's place along its axis.
        voxel[:, ~resolved] = 0
        close = (np.abs(voxel - place) <= 1)[:, resolved].all(axis=1)
        inside = close & (voxel >= 0).all(axis=1) & (voxel < upper).all(axis=1)
        kept[inside] |= mask[tuple(voxel[inside].T)]
    return kept


def survival(kept: SparseFrames, truth: Truth, grid: Grid) -> float:
    """Share of the bubbles in view that survived: that have a kept voxel within one voxel.

    What a sparsification has dropped no localizer after it can find.

    Parameters
    ----------
    kept
        Frames `kept.first_frame` and on; frames without bubbles do not count.
    truth
        Of the whole acquisition; bubbles outside the grid do not count.
    grid
        Grid of the frames.

    Raises
    ------
    ConfigError
        The truth has no bubble in view in these frames.
    """
    first, n_frames = kept.first_frame, kept.shape[0]
    frames, positions = truth.frames, truth.positions_um
    chosen = (frames >= first) & (frames < first + n_frames) & inner(positions, grid, 0.0)
    frames, positions = frames[chosen] - first, positions[chosen]
    if not frames.size:
        raise ConfigError(
            f"The ground truth has no bubble in view in frames {first} to "
            f"{first + n_frames - 1}. Give the ground truth of this acquisition."
        )
    survivors = 0
    borders = np.searchsorted(kept.coordinates[:, 0], np.arange(n_frames + 1))
    for frame in np.unique(frames):
        mask = np.zeros(grid.shape, bool)
        rows = kept.coordinates[borders[frame] : borders[frame + 1], 1:]
        mask[tuple(rows.T)] = True
        survivors += int(bubbles_kept(mask, positions[frames == frame], grid).sum())
    return survivors / frames.size
