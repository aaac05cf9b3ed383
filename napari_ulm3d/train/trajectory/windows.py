"""Windows for the paper's networks: frames of the correlation map with true trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import sparsify
from napari_ulm3d.train.bubbles.windows import window_starts
from napari_ulm3d.train.scenes import CorrelatedScene, correlate_scene, draw_scene
from napari_ulm3d.train.trajectory.config import TrajectoryDataConfig
from napari_ulm3d.train.trajectory.targets import Trajectories, sample_trajectories

__all__ = ["Keep", "TrajectoryWindow", "keeper", "mirrored", "scene_windows", "training_windows"]

Keep = Callable[[NDArray[np.complex64], float], SparseFrames]
"""Selects the kept voxels from a window of the correlation map and a threshold."""


@dataclass(frozen=True)
class TrajectoryWindow:
    """One sample.

    Attributes
    ----------
    frames
        Kept voxels of the correlation map.
    truth
        Trajectories on the axes of the network (without y in 2-D).
    """

    frames: SparseFrames
    truth: Trajectories


def keeper(config: TrajectoryDataConfig) -> Keep:
    """Function that selects the voxels of a window according to `config.strategy`."""

    def keep(window: NDArray[np.complex64], threshold: float) -> SparseFrames:
        if config.strategy == "topk":
            count = max(1, round(config.top_share * window.size))
            return sparsify(window, SparsifyConfig(strategy="topk", top_k=count))
        if config.strategy == "learned":
            chosen = SparsifyConfig(strategy="learned", weights=config.mask_weights)
            return sparsify(window, chosen)
        return sparsify(
            window, SparsifyConfig(threshold=0.0 if config.strategy == "all" else threshold)
        )

    return keep


def scene_windows(
    scene: CorrelatedScene,
    starts: list[int],
    size: int,
    *,
    upsampling: int,
    keep: Keep,
    threshold: float = 0.1,
    max_voxels: int | None = None,
) -> list[TrajectoryWindow]:
    """Cut windows from a scene.

    Parameters
    ----------
    scene
        The scene, with correlation map and ground truth.
    starts, size
        First frame of each window, and frames per window.
    upsampling
        Factor of the network.
    keep, threshold
        Selection of the voxels.
    max_voxels
        In windows with more kept voxels, frames at the end are dropped with their ground truth.
    """
    flat = scene.correlation.shape[2] == 1
    windows = []
    for start in starts:
        kept = keep(scene.correlation[start : start + size], threshold)
        frames, used = _cut(kept, max_voxels)
        truth = _rows(scene.truth, start, start + used)
        points = sample_trajectories(truth, scene.grid, start, size, upsampling, flat)
        windows.append(TrajectoryWindow(frames, points))
    return windows


def training_windows(
    seed: int, config: TrajectoryDataConfig, upsampling: int, keep: Keep
) -> list[TrajectoryWindow]:
    """The windows of one training scene; the same seed gives the same windows.

    Parameters
    ----------
    seed
        Seed of the scene.
    config
        Settings of scenes and windows.
    upsampling, keep
        As in `scene_windows`.

    Raises
    ------
    ConfigError
        The seed is reserved for test sets.
    """
    draw = draw_scene(seed, config)
    scene = correlate_scene(draw.config, clutter=draw.clutter, width_factor=draw.width_factor)
    windows = scene_windows(
        scene,
        window_starts(config),
        config.window_frames,
        upsampling=upsampling,
        keep=keep,
        threshold=draw.threshold,
        max_voxels=config.max_voxels,
    )
    if not config.flips:
        return windows
    return [
        mirrored(window, draw.rng.random(4) < 0.5, float(draw.rng.uniform(0, 2 * np.pi)))
        for window in windows
    ]


def mirrored(
    window: TrajectoryWindow, axes: NDArray[np.bool_], phase_rad: float = 0.0
) -> TrajectoryWindow:
    """Mirror a window along the selected axes of t, z, y, x, and rotate its overall phase.

    Mirroring depth reverses the phase gradient of a bubble, so the values are conjugated.

    Parameters
    ----------
    window
        One sample.
    axes
        (4,) bool.
    phase_rad
        Phase added to all values.
    """
    frames, shape = window.frames, window.frames.shape
    chosen = tuple(np.flatnonzero(axes).tolist())
    coordinates = frames.coordinates.copy()
    for axis in chosen:
        coordinates[:, axis] = shape[axis] - 1 - coordinates[:, axis]
    order = np.lexsort(coordinates.T[::-1])
    values = frames.values[order] * np.complex64(np.exp(1j * phase_rad))
    values = values.conj() if axes[1] else values
    frames = replace(frames, coordinates=coordinates[order], values=values)
    points, space = window.truth.points.copy(), window.truth.shape
    # Without y, the columns are t, z, x.
    columns = {axis: k for k, axis in enumerate([0, 1, 2, 3] if len(space) == 4 else [0, 1, 3])}
    for axis in chosen:
        if axis in columns:
            column = columns[axis]
            # Frames are counted from 0 to t - 1; space is measured from border to border.
            length = shape[0] - 1 if axis == 0 else shape[axis]
            points[:, column] = length - points[:, column]
    return TrajectoryWindow(frames, Trajectories(points, space))


def _cut(kept: SparseFrames, max_voxels: int | None) -> tuple[SparseFrames, int]:
    """Drop frames at the end to limit the kept voxels; also return the number of frames left."""
    n_frames = kept.shape[0]
    if max_voxels is None or len(kept) <= max_voxels:
        return kept, n_frames
    used = max(1, int((np.cumsum(kept.counts) <= max_voxels).sum()))
    rows = kept.coordinates[:, 0] < used
    return replace(kept, coordinates=kept.coordinates[rows], values=kept.values[rows]), used


def _rows(truth: pd.DataFrame, start: int, stop: int) -> pd.DataFrame:
    frame = truth["frame"]
    return truth[(frame >= start) & (frame < stop)]
