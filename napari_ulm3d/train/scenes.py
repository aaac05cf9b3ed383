"""Simulated scenes processed up to the correlation map, as in inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import ClutterConfig, PsfConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.filtering import (
    clutter_filter,
    correlation_map,
    make_psf,
    patch_of,
    tissue_cut,
    valid_voxels,
)
from napari_ulm3d.filtering.psf import Psf
from napari_ulm3d.networks.bubblenet_input import noise_level
from napari_ulm3d.simulate import preset, randomize, simulate
from napari_ulm3d.simulate.conditions import under_condition
from napari_ulm3d.simulate.config import CrowdConfig, SimulationConfig
from napari_ulm3d.simulate.imaging.measured import image_names, measured_image
from napari_ulm3d.simulate.imaging.seeds import log_uniform
from napari_ulm3d.simulate.randomization import with_image
from napari_ulm3d.train.config import DataConfig, ValidationConfig, refuse_test_seeds

__all__ = [
    "CorrelatedScene",
    "SceneDraw",
    "clutter_for",
    "correlate_scene",
    "draw_scene",
    "validation_settings",
]

_CARRIER_FRAMES = 32
_CHUNK = 50
_SLICE_WAVELENGTHS = 4.0
_IMAGE_VOXELS = 2.0  # voxels per width in validation: what a run thins data to


@dataclass(frozen=True)
class CorrelatedScene:
    """A simulated block after clutter filter and correlation, with its ground truth.

    Attributes
    ----------
    frames, correlation
        (t, z, y, x) complex64: filtered frames, and their correlation map.
    truth
        The simulator's table; `frame` counts from the first frame of the block.
    psf
        The PSF used for the correlation.
    level
        RMS of the noise in the filtered frames.
    """

    frames: NDArray[np.complex64]
    correlation: NDArray[np.complex64]
    truth: pd.DataFrame
    grid: Grid
    psf: Psf
    level: float
    config: SimulationConfig


@dataclass(frozen=True)
class SceneDraw:
    """Settings of one training scene, and the generator for subsequent draws."""

    config: SimulationConfig
    clutter: ClutterConfig
    threshold: float
    width_factor: float
    rng: np.random.Generator


def draw_scene(seed: int, config: DataConfig) -> SceneDraw:
    """Draw the scene of a training seed; the same seed gives the same scene.

    Raises
    ------
    ConfigError
        The seed is reserved for test sets.
    """
    scene = randomize(seed, config.random).replace(n_frames=config.scene_frames)
    rng = np.random.default_rng((seed, 1))
    low, high = config.svd_first
    first = int(rng.integers(low, high, endpoint=True))
    clutter = config.clutter.replace(svd_range=(first, (config.clutter.svd_range or (12, 200))[1]))
    return SceneDraw(
        config=scene,
        clutter=clutter_for(scene, clutter, config.filter_without_tissue),
        threshold=log_uniform(rng, config.threshold),
        width_factor=float(rng.uniform(*config.width_error)),
        rng=rng,
    )


def clutter_for(
    scene: SimulationConfig, clutter: ClutterConfig, filter_without_tissue: bool
) -> ClutterConfig:
    """The filter for a scene: none without tissue, unless such scenes should also be filtered."""
    if filter_without_tissue or scene.clutter.level_db is not None:
        return clutter
    return clutter.replace(method="none")


def validation_settings(config: ValidationConfig) -> Iterator[tuple[int | str, SimulationConfig]]:
    """Group and settings of each validation scene, each with its own seed.

    The group is the number of bubbles, ``crowd-D`` for crowds in which the nearest bubbles are
    about D wavelengths apart, the name of a condition, or ``image-NAME`` for a measured image.

    Raises
    ------
    ConfigError
        A seed is reserved for the test sets, there is no such preset or measured image, or
        training draws the image.
    """
    refuse_test_seeds(config.first_seed, config.n_scenes)
    base = preset(config.preset).replace(n_frames=config.scene_frames)
    if config.shape is not None:
        base = base.replace(grid=base.grid.replace(shape=config.shape))
    groups: list[tuple[int | str, SimulationConfig]] = [
        (n, base.replace(bubbles=base.bubbles.replace(n_bubbles=n))) for n in config.bubbles
    ]
    for apart in config.crowds:
        crowd = CrowdConfig(nearest_wavelengths=(apart / 1.25, apart * 1.25))
        n = config.crowd_bubbles
        crowded = base.replace(
            crowd=crowd,
            bubbles=base.bubbles.replace(n_bubbles=n),
            travel=base.travel.replace(max_speed_mm_s=crowd.speed_mm_s[1]),
        )
        groups.append((f"crowd-{apart:g}", crowded))
    groups += [(name, under_condition(base, name)) for name in config.conditions]
    groups += [(f"image-{name}", _held_out(base, name, config)) for name in config.images]
    each = [group for group in groups for _ in range(config.scenes)]
    for k, (name, settings) in enumerate(each):
        yield name, settings.replace(name=f"validation-{k}", seed=config.first_seed + k)


def _held_out(base: SimulationConfig, name: str, config: ValidationConfig) -> SimulationConfig:
    image = measured_image(name)
    if not image.held_out:
        held = ", ".join(image_names(image.kind, held_out=True))
        raise ConfigError(f"Training draws the image '{name}'; validate with {held}.")
    n = config.image_bubbles
    if image.kind == "linear" and base.grid.shape[1] > 1:
        base, n = _as_plane(base, config), config.planar_bubbles
    image.check(base.grid.grid)
    scene = with_image(base, image, _IMAGE_VOXELS, _IMAGE_VOXELS)
    return scene.replace(bubbles=base.bubbles.replace(n_bubbles=n))


def _as_plane(base: SimulationConfig, config: ValidationConfig) -> SimulationConfig:
    """The settings in a plane, whose slice is as thick as the beam of a linear probe."""
    z, x = config.planar_shape
    thickness = _SLICE_WAVELENGTHS * base.wavelength_um
    voxel, width = base.grid.voxel_um, base.psf.fwhm_um
    return base.replace(
        grid=base.grid.replace(shape=(z, 1, x), voxel_um=(voxel[0], thickness, voxel[2])),
        psf=base.psf.replace(fwhm_um=(width[0], thickness, width[2])),
    )


def correlate_scene(
    config: SimulationConfig,
    *,
    clutter: ClutterConfig,
    width_factor: float = 1.0,
    keep_frames: int | None = None,
) -> CorrelatedScene:
    """Simulate one block, filter it and correlate it with its PSF.

    Parameters
    ----------
    config
        The scene; all of its frames form one block.
    clutter
        The clutter filter. The number of components of tissue that is strained or jumps differs widely
        between scenes, so there at least those are removed that are recognized as tissue, as in inference.
    width_factor
        Ratio of the assumed PSF width to the true one at half depth.
    keep_frames
        Number of frames kept after the filter, from the first; None: all.
    """
    simulation = simulate(config)
    frames, truth = next(simulation.blocks(config.n_frames))
    filtered = clutter_filter(frames, config.rate_hz, _with_measured_cut(frames, config, clutter))
    frames, valid = filtered.frames, filtered.valid
    level = noise_level(frames, valid)
    grid = simulation.grid
    depth = grid.extent_um[0] / 2
    fwhm = simulation.renderer.psf.fwhm_voxels(np.array([grid.origin_um[0] + depth]))[0]
    z, y, x = (float(max(1.0, w * width_factor)) for w in fwhm)
    psf_config = PsfConfig(fwhm_voxels=(z, y, x), patch_voxels=patch_of((z, y, x)))
    psf = make_psf(
        psf_config, frames[:_CARRIER_FRAMES], grid, config.wavelength_um, "iq", valid=valid
    )
    frames = frames[:keep_frames]
    correlation = np.empty_like(frames)
    for start in range(0, len(frames), _CHUNK):
        part = slice(start, start + _CHUNK)
        correlation_map(frames[part], psf, out=correlation[part])
    kept = truth[truth["frame"] < len(frames)]
    return CorrelatedScene(frames, correlation, kept, grid, psf, level, config)


def _with_measured_cut(
    frames: NDArray[np.complex64], config: SimulationConfig, clutter: ClutterConfig
) -> ClutterConfig:
    """The filter of an unfiltered block of a scene, see `correlate_scene`."""
    moving = config.clutter.model == "strain" or config.motion.jumps_hz > 0
    tissue = config.clutter.level_db is not None and moving
    if not tissue or "svd" not in clutter.method or clutter.svd_range is None:
        return clutter
    first = max(clutter.svd_range[0], tissue_cut(frames, valid_voxels(frames)).first)
    return clutter.replace(svd_range=(first, max(first, clutter.svd_range[1])))
