"""Acquisitions from the package's simulator, on grids that were not used for tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.zoo.recipes import SOUND_SPEED_M_S, Recipe
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate import simulate
from napari_ulm3d.simulate.config import SimulationConfig

__all__ = ["altered", "frames_and_truth", "simulation_config"]


def simulation_config(recipe: Recipe) -> SimulationConfig:
    """Settings of the simulator; for a ``simus`` recipe only those of vessels and flow."""
    wave = recipe.wavelength_um
    first = recipe.depth_mm * 1000 if recipe.physics == "simus" else 0.0
    base = SimulationConfig(name=recipe.name)
    speed = recipe.max_speed_mm_s
    return base.replace(
        grid={
            "shape": recipe.shape,
            "voxel_um": recipe.voxel_um,
            "origin_um": (
                first,
                -recipe.voxel_um[1] * (recipe.shape[1] - 1) / 2,
                -recipe.voxel_um[2] * (recipe.shape[2] - 1) / 2,
            ),
        },
        wavelength_um=wave,
        sound_speed_m_s=SOUND_SPEED_M_S,
        rate_hz=recipe.rate_hz,
        n_frames=recipe.n_frames,
        psf={"fwhm_um": tuple(share * wave for share in recipe.width_wavelengths)},
        noise={"snr_db": recipe.snr_db},
        clutter={"level_db": recipe.tissue_db},
        bubbles={"n_bubbles": recipe.n_bubbles},
        travel={"max_speed_mm_s": speed},
        vessels={"flow": {"max_speed_mm_s": speed}},
        seed=recipe.seed,
    )


def frames_and_truth(recipe: Recipe) -> tuple[NDArray[np.complex64], pd.DataFrame, Grid]:
    """IQ (t, z, y, x), ground truth and grid."""
    simulation = simulate(simulation_config(recipe))
    acquisition = simulation.acquisition
    frames = acquisition.read(0, acquisition.n_frames)
    frames = altered(frames, recipe)
    truth = simulation.truth
    if recipe.masked:  # bubbles outside the view cannot be found
        grid = acquisition.grid
        index = grid.to_index(truth[["z_um", "y_um", "x_um"]]).round().astype(int)
        index = np.clip(index, 0, np.array(grid.shape) - 1)
        truth = truth[(frames[0] != 0)[tuple(index.T)]]
    return frames, truth, acquisition.grid


def altered(frames: NDArray[np.complex64], recipe: Recipe) -> NDArray[np.complex64]:
    """Add depth-dependent noise and gain, and mask a sector."""
    rng = np.random.default_rng(recipe.seed)
    shape = frames.shape[1:]
    depth_mm = np.arange(shape[0]) * recipe.voxel_um[0] / 1000
    if recipe.noise_db_per_mm:
        # The simulator's noise has an rms of 10^(-snr / 20); depth-dependent noise is added.
        level = 10 ** (-recipe.snr_db / 20) * np.sqrt(
            np.maximum(10 ** (recipe.noise_db_per_mm * depth_mm / 10) - 1, 0)
        )
        for frame in frames:
            parts = rng.standard_normal((2, *shape), np.float32) / np.float32(np.sqrt(2))
            frame += (parts[0] + 1j * parts[1]) * level[:, None, None].astype(np.float32)
    if recipe.gain_db_per_mm:
        frames *= (10 ** (recipe.gain_db_per_mm * depth_mm / 20))[:, None, None].astype(np.float32)
    if recipe.masked:
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
        inside = np.hypot(y, x) < 0.45 + 0.35 * (z + 1) / 2
        frames[:, ~inside] = 0
    return frames
