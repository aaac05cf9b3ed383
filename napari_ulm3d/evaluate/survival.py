"""Fraction of true bubbles that survive sparsification, with a kept voxel next to them."""

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
    """Whether each bubble of a frame has a kept voxel within one voxel along every axis.

    Parameters
    ----------
    mask
        (z, y, x) kept voxels.
    positions_um
        (n, 3) bubbles, inside or outside the grid.
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
        # A single voxel contains no information on a bubble's position along its axis.
        voxel[:, ~resolved] = 0
        close = (np.abs(voxel - place) <= 1)[:, resolved].all(axis=1)
        inside = close & (voxel >= 0).all(axis=1) & (voxel < upper).all(axis=1)
        kept[inside] |= mask[tuple(voxel[inside].T)]
    return kept


def survival(kept: SparseFrames, truth: Truth, grid: Grid) -> float:
    """Fraction of the bubbles in view that survive, i.e. have a kept voxel within one voxel.

    No localizer can find a bubble that sparsification has dropped.

    Parameters
    ----------
    kept
        Frames from `kept.first_frame`; frames without bubbles are ignored.
    truth
        Ground truth of the whole acquisition; bubbles outside the grid are ignored.
    grid
        Grid of the frames.

    Raises
    ------
    ConfigError
        The ground truth has no bubble in view in these frames.
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
