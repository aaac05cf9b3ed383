"""Windows with targets from simulated scenes, each determined by a single seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import ClutterConfig, SparsifyConfig
from napari_ulm3d.networks.bubblenet_input import BubbleInput, bubble_input
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.sparsify import sparsify
from napari_ulm3d.train.bubbles.targets import Bubbles, Targets, make_targets, true_bubbles
from napari_ulm3d.train.config import DataConfig
from napari_ulm3d.train.scenes import correlate_scene, draw_scene

__all__ = [
    "Scene",
    "Window",
    "flipped",
    "make_scene",
    "training_windows",
    "window_starts",
]


@dataclass(frozen=True)
class Scene:
    """A simulated block after filter, correlation and sparsification, with its ground truth."""

    block: BubbleInput
    bubbles: Bubbles
    grid: Grid
    rate_hz: float
    wavelength_um: float


@dataclass(frozen=True)
class Window:
    """Kept voxels of a few frames, with their targets."""

    block: BubbleInput
    targets: Targets


def make_scene(
    config: SimulationConfig,
    *,
    clutter: ClutterConfig,
    threshold: float,
    width_factor: float = 1.0,
    keep_frames: int | None = None,
) -> Scene:
    """Simulate one block and convert it to the network's input.

    Parameters
    ----------
    config, clutter, width_factor, keep_frames
        As in `correlate_scene`.
    threshold
        Minimum |c|^2 of kept voxels.
    """
    made = correlate_scene(
        config, clutter=clutter, width_factor=width_factor, keep_frames=keep_frames
    )
    kept = sparsify(made.correlation, SparsifyConfig(threshold=threshold))
    block = bubble_input(
        made.frames,
        kept,
        fwhm_voxels=made.psf.fwhm_voxels,
        carrier_rad=made.psf.carrier_rad,
        level=made.level,
    )
    bubbles = true_bubbles(made.truth, made.grid, config.rate_hz)
    return Scene(block, bubbles, made.grid, config.rate_hz, config.wavelength_um)


def training_windows(seed: int, config: DataConfig, per_voxel: int = 1) -> list[Window]:
    """The windows of one training scene; the same seed gives the same windows.

    Parameters
    ----------
    seed, config
        As in `draw_scene`.
    per_voxel
        Maximum number of bubbles assigned to a voxel.

    Raises
    ------
    ConfigError
        The seed is reserved for test sets.
    """
    draw = draw_scene(seed, config)
    scene = make_scene(
        draw.config,
        clutter=draw.clutter,
        threshold=draw.threshold,
        width_factor=draw.width_factor,
    )
    size = config.window_frames
    windows = []
    for start in window_starts(config):
        block = scene.block.window(start, start + size)
        bubbles = scene.bubbles.window(start, start + size)
        block, bubbles = _cut(block, bubbles, config.max_voxels)
        if config.flips:
            block, bubbles = flipped(block, bubbles, draw.rng.random(4) < 0.5)
        targets = make_targets(block.coordinates, block.shape, bubbles, per_voxel=per_voxel)
        windows.append(Window(block, targets))
    return windows


def window_starts(config: DataConfig) -> list[int]:
    """First frames of a scene's windows, evenly spaced."""
    last = config.scene_frames - config.window_frames
    return np.linspace(0, last, config.windows_per_scene).round().astype(int).tolist()


def _cut(block: BubbleInput, bubbles: Bubbles, max_voxels: int) -> tuple[BubbleInput, Bubbles]:
    """Drop whole frames at the end to limit the number of voxels (at least one frame is kept).

    The window keeps its shape, so that it fits into a batch.
    """
    counts = np.bincount(block.coordinates[:, 0], minlength=block.shape[0])
    frames = max(1, int((np.cumsum(counts) <= max_voxels).sum()))
    if frames == block.shape[0]:
        return block, bubbles
    return replace(block.window(0, frames), shape=block.shape), bubbles.window(0, frames)


def flipped(
    block: BubbleInput, bubbles: Bubbles, axes: NDArray[np.bool_]
) -> tuple[BubbleInput, Bubbles]:
    """Mirror a window along the selected axes of t, z, y, x.

    Parameters
    ----------
    block, bubbles
        The window.
    axes
        (4,) bool.
    """
    frame, position, velocity = bubbles.frame, bubbles.position.copy(), bubbles.velocity.copy()
    chosen = np.flatnonzero(axes).tolist()
    for axis in chosen:
        last = block.shape[axis] - 1
        if axis == 0:
            frame, velocity = last - frame, -velocity
        else:
            position[:, axis - 1] = last - position[:, axis - 1]
            velocity[:, axis - 1] *= -1
    image, _ = block.mirrored(chosen)
    return image, Bubbles(frame, position, velocity, bubbles.level)
