"""Windows with targets from simulated scenes, each the work of one seed alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import ClutterConfig, PsfConfig, SparsifyConfig
from napari_ulm3d.filtering import clutter_filter, correlation_map, make_psf
from napari_ulm3d.networks.bubblenet_input import BubbleInput, bubble_input, noise_level
from napari_ulm3d.simulate import randomize, simulate
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.sparsify import sparsify
from napari_ulm3d.train.config import DataConfig
from napari_ulm3d.train.targets import Bubbles, Targets, make_targets, true_bubbles

__all__ = ["Scene", "Window", "flipped", "make_scene", "patch_of", "training_windows"]

_CARRIER_FRAMES = 32
_CHUNK = 50


@dataclass(frozen=True)
class Scene:
    """A simulated block after filter, correlation and sparsification, with its truth."""

    block: BubbleInput
    bubbles: Bubbles
    grid: Grid
    rate_hz: float
    wavelength_um: float


@dataclass(frozen=True)
class Window:
    """Kept voxels of a few frames and what they should be predicted as."""

    block: BubbleInput
    targets: Targets


def patch_of(fwhm_voxels: tuple[float, float, float]) -> tuple[int, int, int]:
    """Patch of the correlation for a PSF's widths: a width on either side, 3 to 11 voxels.

    A larger patch holds more noise beside the bubble's energy and lowers its correlation.
    """
    z, y, x = (int(np.clip(2 * round(width) + 1, 3, 11)) for width in fwhm_voxels)
    return (z, y, x)


def make_scene(
    config: SimulationConfig,
    *,
    clutter: ClutterConfig,
    threshold: float,
    width_factor: float = 1.0,
    keep_frames: int | None = None,
) -> Scene:
    """Simulate one block and bring it to the network's input.

    Parameters
    ----------
    config
        The scene; all its frames are one block.
    clutter, threshold
        The filter, and the least |c|^2 of voxels kept.
    width_factor
        Width of the PSF that is correlated with, over the true one at half depth.
    keep_frames
        Only the first frames are kept after the filter; None: all.
    """
    simulation = simulate(config)
    frames, truth = next(simulation.blocks(config.n_frames))
    frames = clutter_filter(frames, config.rate_hz, clutter).frames
    level = noise_level(frames)
    grid = simulation.grid
    depth = grid.extent_um[0] / 2
    fwhm = simulation.renderer.psf.fwhm_voxels(np.array([grid.origin_um[0] + depth]))[0]
    widths = tuple(float(max(1.0, w * width_factor)) for w in fwhm)
    psf_config = PsfConfig(fwhm_voxels=widths, patch_voxels=patch_of(widths))  # type: ignore[arg-type]
    psf = make_psf(psf_config, frames[:_CARRIER_FRAMES], grid, config.wavelength_um, "iq")
    frames = frames[:keep_frames]
    correlation = np.empty_like(frames)
    for start in range(0, len(frames), _CHUNK):
        part = slice(start, start + _CHUNK)
        correlation_map(frames[part], psf, out=correlation[part])
    kept = sparsify(correlation, SparsifyConfig(threshold=threshold))
    block = bubble_input(
        frames,
        kept,
        fwhm_voxels=psf.fwhm_voxels,
        carrier_rad=psf.carrier_rad,
        level=level,
    )
    bubbles = true_bubbles(truth, grid, config.rate_hz).window(0, len(frames))
    return Scene(block, bubbles, grid, config.rate_hz, config.wavelength_um)


def training_windows(seed: int, config: DataConfig) -> list[Window]:
    """The windows of one training scene; the same for the same seed.

    Raises
    ------
    ConfigError
        The seed is kept for test sets.
    """
    scene_config = randomize(seed, config.random).replace(n_frames=config.scene_frames)
    rng = np.random.default_rng((seed, 1))
    low, high = config.svd_first
    first = int(rng.integers(low, high, endpoint=True))
    scene = make_scene(
        scene_config,
        clutter=config.clutter.replace(svd_range=(first, config.clutter.svd_range[1])),
        threshold=float(np.exp(rng.uniform(*np.log(config.threshold)))),
        width_factor=float(rng.uniform(*config.width_error)),
    )
    size = config.window_frames
    starts = np.linspace(0, config.scene_frames - size, config.windows_per_scene).round()
    windows = []
    for start in starts.astype(int).tolist():
        block = scene.block.window(start, start + size)
        bubbles = scene.bubbles.window(start, start + size)
        block, bubbles = _cut(block, bubbles, config.max_voxels)
        if config.flips:
            block, bubbles = flipped(block, bubbles, rng.random(4) < 0.5)
        targets = make_targets(block.coordinates, block.shape, bubbles)
        windows.append(Window(block, targets))
    return windows


def _cut(block: BubbleInput, bubbles: Bubbles, max_voxels: int) -> tuple[BubbleInput, Bubbles]:
    """Leave out whole frames at the end, so that few enough voxels are left (one frame at least).

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
    """Mirror a window along the chosen ones of t, z, y, x.

    Depth mirrored, the phase of a bubble would fall where it grew: the values are conjugated.

    Parameters
    ----------
    block, bubbles
        The window.
    axes
        (4,) bool.
    """
    coordinates = block.coordinates.copy()
    frame, position, velocity = bubbles.frame, bubbles.position.copy(), bubbles.velocity.copy()
    for axis in np.flatnonzero(axes):
        last = block.shape[axis] - 1
        coordinates[:, axis] = last - coordinates[:, axis]
        if axis == 0:
            frame, velocity = last - frame, -velocity
        else:
            position[:, axis - 1] = last - position[:, axis - 1]
            velocity[:, axis - 1] *= -1
    order = np.lexsort(coordinates.T[::-1])
    correlation, amplitude = block.correlation[order], block.amplitude[order]
    if axes[1]:
        correlation, amplitude = correlation.conj(), amplitude.conj()
    mirrored = replace(
        block, coordinates=coordinates[order], correlation=correlation, amplitude=amplitude
    )
    return mirrored, Bubbles(frame, position, velocity, bubbles.level)
