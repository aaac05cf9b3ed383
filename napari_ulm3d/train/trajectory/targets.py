"""Targets of a trajectory network: true trajectories as binary volumes at any resolution.

A bubble's positions in consecutive frames are joined by straight segments, so that a fast bubble
leaves no gaps on the fine grid. The same samples serve for every target, at the stride in time and
space of the tensor with which it is compared: a head that runs at 128 frames per step gets
targets with 128 frames per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError

__all__ = ["Trajectories", "bubble_mask", "sample_trajectories", "trajectory_volume"]


@dataclass(frozen=True)
class Trajectories:
    """Points along the true trajectories in one window.

    Parameters
    ----------
    points
        (m, 1 + d) float64: frames since the start of the window, then voxels of the input along
        z, y, x (or z, x) from the border of the grid: voxel k extends from k to k + 1.
    shape
        (t, *space): frames and voxels in the window.
    """

    points: NDArray[np.float64]
    shape: tuple[int, ...]

    def voxels(self, stride: Sequence[Fraction | int]) -> NDArray[np.int64]:
        """Unique voxels crossed by the trajectories, sorted, (n, 1 + d).

        Parameters
        ----------
        stride
            Size of a voxel by axis, in frames and in voxels of the input; 1/8 for eight voxels
            per input voxel.
        """
        steps = tuple(Fraction(s) for s in stride)
        if len(steps) != len(self.shape) or min(steps) <= 0:
            raise ConfigError(
                f"A stride {stride} does not match a grid of {len(self.shape)} axes; give one "
                "value per axis."
            )
        limits = np.array([-(-n // s) for n, s in zip(self.shape, steps, strict=True)])
        fine = np.array([s.denominator / s.numerator for s in steps])
        index = np.floor(self.points * fine).astype(np.int64)
        inside = ((index >= 0) & (index < limits)).all(axis=1)
        return np.unique(index[inside], axis=0).reshape(-1, len(self.shape))


def sample_trajectories(
    truth: pd.DataFrame,
    grid: Grid,
    first_frame: int,
    n_frames: int,
    upsampling: int = 8,
    flat: bool = False,
) -> Trajectories:
    """Sample the trajectories in a window at most half a fine voxel apart.

    Parameters
    ----------
    truth
        Columns frame, bubble_id, z_um, y_um, x_um, as given by the simulator; `frame` counts
        over the whole acquisition. Rows of other frames are ignored.
    grid
        Voxel grid of the input.
    first_frame, n_frames
        Range of frames of the window.
    upsampling
        Finest grid to fill without gaps, in voxels per input voxel.
    flat
        Leave out y, for networks on z, x.

    Raises
    ------
    ConfigError
        A column is missing, the window is empty, or `flat` on a grid with a y axis.
    """
    _check_columns(truth, ["frame", "bubble_id", "z_um", "y_um", "x_um"])
    if n_frames < 1 or upsampling < 1:
        raise ConfigError(
            f"A window of {n_frames} frames at x{upsampling} is empty. Both must be 1 or more."
        )
    if flat and grid.shape[1] != 1:
        raise ConfigError(f"A grid of {grid.shape} is not 2-D: y has length {grid.shape[1]}.")
    axes = [0, 2] if flat else [0, 1, 2]
    frame = truth["frame"].to_numpy(np.int64) - first_frame
    here = (frame >= 0) & (frame < n_frames)
    bubble = truth["bubble_id"].to_numpy(np.int64)[here]
    frame = frame[here]
    voxel = _voxel_positions(truth, grid)[here]
    points = np.column_stack([frame, voxel[:, axes]])
    order = np.lexsort((frame, bubble))
    points, bubble = points[order], bubble[order]
    joined = np.flatnonzero((np.diff(bubble) == 0) & (np.diff(points[:, 0]) == 1))
    start, move = points[joined], points[joined + 1] - points[joined]
    reach = np.abs(move[:, 1:]).max(axis=1, initial=0)
    parts = np.maximum(1, np.ceil(2 * upsampling * reach)).astype(np.int64)
    # The end of the segment is already a point of its own, as is its start (step 0 is skipped).
    steps = parts - 1
    row = np.repeat(np.arange(len(joined)), steps)
    step = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps) + 1
    between = start[row] + (step / parts[row])[:, None] * move[row]
    shape = (n_frames, *(grid.shape[a] for a in axes))
    return Trajectories(np.concatenate([points, between]), shape)


def trajectory_volume(
    trajectories: Trajectories, upsampling: int = 8, time_stride: int | None = None
) -> NDArray[np.bool_]:
    """The trajectories as a dense binary volume.

    Parameters
    ----------
    trajectories
        One window.
    upsampling
        Voxels per input voxel, along each spatial axis.
    time_stride
        Frames per time bin; None: one bin for the whole window.

    Returns
    -------
    NDArray
        (bins, *space * upsampling) bool.
    """
    frames, *space = trajectories.shape
    step = time_stride or frames
    out = np.zeros((-(-frames // step), *(n * upsampling for n in space)), np.bool_)
    stride: list[Fraction | int] = [step, *(Fraction(1, upsampling) for _ in space)]
    out[tuple(trajectories.voxels(stride).T)] = True
    return out


def bubble_mask(
    truth: pd.DataFrame,
    grid: Grid,
    first_frame: int,
    n_frames: int,
    radius: tuple[int, int, int] = (1, 1, 1),
) -> NDArray[np.bool_]:
    """Voxels around true bubbles, which `networks.mask_cnn` should keep.

    Parameters
    ----------
    truth, grid, first_frame, n_frames
        As in `sample_trajectories`.
    radius
        Voxels kept on either side of a bubble's own voxel, along z, y, x.

    Returns
    -------
    NDArray
        (t, z, y, x) bool.

    Raises
    ------
    ConfigError
        A column is missing.
    """
    _check_columns(truth, ["frame", "z_um", "y_um", "x_um"])
    frame = truth["frame"].to_numpy(np.int64) - first_frame
    here = (frame >= 0) & (frame < n_frames)
    centre = np.floor(_voxel_positions(truth, grid)[here]).astype(np.int64)
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in radius), indexing="ij"), -1)
    index = (centre[:, None] + offsets.reshape(1, -1, 3)).reshape(-1, 3)
    frame = np.repeat(frame[here], offsets.size // 3)
    inside = ((index >= 0) & (index < np.array(grid.shape))).all(axis=1)
    out = np.zeros((n_frames, *grid.shape), np.bool_)
    out[(frame[inside], *index[inside].T)] = True
    return out


def _voxel_positions(truth: pd.DataFrame, grid: Grid) -> NDArray[np.float64]:
    """Positions (n, 3) in voxels from the border of the grid."""
    positions = truth[["z_um", "y_um", "x_um"]].to_numpy(np.float64)
    return (positions - grid.origin_um) / grid.spacing_um + 0.5


def _check_columns(truth: pd.DataFrame, wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in truth.columns]
    if missing:
        raise ConfigError(f"The truth lacks {', '.join(missing)}. Give the table of the simulator.")
