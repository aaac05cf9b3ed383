"""Acquisitions from PyMUST: SIMUS or SIMUS3, then delay and sum, with moving tissue scatterers.

Bubbles flow in vessels of the package's simulator, but their images come from independent physics
(Garcia, Comput. Methods Programs Biomed. 2022). Requires ``pip install pymust``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.zoo.ours import simulation_config
from benchmarks.zoo.recipes import SOUND_SPEED_M_S, Recipe
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate import simulate

__all__ = ["frames_and_truth"]

Points = NDArray[np.float64]
"""(n, 3) z, y, x in metres."""

_TISSUE_A_CELL = 2.0  # scatterers per resolution cell, enough for speckle
_MOST_TISSUE = 600
_ROWS = 2000  # voxels beamformed at once


@dataclass
class _Probe:
    """Echoes of points at a probe, and their image on a grid."""

    recipe: Recipe
    grid: Grid

    def __post_init__(self) -> None:
        import pymust

        self._must = pymust
        recipe = self.recipe
        param = pymust.utils.Param()
        param.c = SOUND_SPEED_M_S
        param.fc = recipe.frequency_mhz * 1e6
        param.fs = 4 * param.fc
        param.bandwidth = 70
        pitch = recipe.pitch_wavelengths * recipe.wavelength_um * 1e-6
        self.flat = recipe.shape[1] == 1
        if self.flat:
            param.pitch, param.width = pitch, 0.9 * pitch
            param.Nelements = recipe.elements
            param.radius = np.inf
            n = recipe.elements
            place = (np.arange(n) - (n - 1) / 2) * pitch
        else:
            side = (np.arange(recipe.elements) - (recipe.elements - 1) / 2) * pitch
            along_y, along_x = np.meshgrid(side, side, indexing="ij")
            param.elements = np.stack([along_x.ravel(), along_y.ravel()])
            param.width = param.height = 0.9 * pitch
            place = along_x.ravel()
        self.param = param
        tilts = np.deg2rad(np.linspace(-6, 6, recipe.angles)) if recipe.angles > 1 else [0.0]
        # One row each, (1, n), since a flat array fails.
        self.delays = []
        for tilt in tilts:
            delay = place * np.sin(tilt) / SOUND_SPEED_M_S
            self.delays.append((delay - delay.min())[None, :])
        self._matrices: dict[int, Any] = {}

    def echoes(self, points: Points, strength: NDArray[np.float64]) -> list[NDArray[Any]]:
        """RF of every plane wave, (samples, elements)."""
        z, y, x = points.T
        out = []
        for delay in self.delays:
            if self.flat:
                rf = self._must.simus(x, z, strength, delay, self.param)[0]
            else:
                rf = self._must.simus3(x, y, z, strength, delay, self.param)[0]
            out.append(rf)
        return out

    def image(self, echoes: list[NDArray[Any]], samples: int) -> NDArray[np.complex64]:
        """Beamformed IQ (z, y, x), plane waves compounded."""
        total = 0
        for k, rf in enumerate(echoes):
            signals = self._must.rf2iq(_cut(rf, samples), self.param)
            if k not in self._matrices:
                self._matrices[k] = self._matrix(signals.shape, self.delays[k])
            # The matrices expect MATLAB's column order.
            column = signals.ravel(order="F").astype(np.complex64)
            total = total + np.concatenate([part @ column for part in self._matrices[k]])
        return np.asarray(total, np.complex64).reshape(self.grid.shape)

    def _matrix(self, shape: tuple[int, int], delay: NDArray[np.float64]) -> list[Any]:
        index = np.indices(self.grid.shape).reshape(3, -1).T
        z, y, x = (self.grid.to_um(index) * 1e-6).T
        size = 1j * np.array(shape)
        parts = []
        for low in range(0, z.size, _ROWS):
            part = slice(low, low + _ROWS)
            if self.flat:
                made = self._must.dasmtx(size, x[part], z[part], delay, self.param)
            else:
                made = self._must.dasmtx3(size, x[part], y[part], z[part], delay, self.param)
            made = made[0] if isinstance(made, tuple) else made
            parts.append(made.tocsr().astype(np.complex64))
        return parts


def frames_and_truth(recipe: Recipe) -> tuple[NDArray[np.complex64], pd.DataFrame, Grid]:
    """IQ (t, z, y, x), ground truth and grid."""
    settings = simulation_config(recipe)
    truth = simulate(settings).truth
    grid = settings.grid.grid
    rng = np.random.default_rng(recipe.seed)
    probe = _Probe(recipe, grid)
    tissue = _Tissue(recipe, grid, rng)
    centre = (grid.to_um((np.asarray(grid.shape) - 1) / 2) * 1e-6)[None, :]
    deepest = grid.to_um(np.asarray(grid.shape) - 1) * 1e-6
    far = np.linalg.norm(deepest) + deepest[0] + 20 * recipe.wavelength_um * 1e-6
    samples = int(far / SOUND_SPEED_M_S * probe.param.fs)

    one = probe.echoes(centre, np.ones(1))
    peak = float(np.abs(probe.image(one, samples)).max())
    echo_noise = [rng.standard_normal((samples, one[0].shape[1])) for _ in probe.delays]
    noise = 10 ** (-recipe.snr_db / 20) * peak / _rms(probe.image(echo_noise, samples))
    gain = 0.0
    if recipe.tissue_db is not None:
        still = probe.image(probe.echoes(tissue.points(0.0), tissue.strength), samples)
        gain = 10 ** (recipe.tissue_db / 20) * peak / _rms(still)

    level = {}
    frames = np.empty((recipe.n_frames, *grid.shape), np.complex64)
    rows = dict(tuple(truth.groupby("frame")))
    for t in range(recipe.n_frames):
        seen = rows.get(t)
        points, strength = [np.empty((0, 3))], [np.empty(0)]
        if seen is not None:
            points.append(seen[["z_um", "y_um", "x_um"]].to_numpy(float) * 1e-6)
            for bubble in seen["bubble_id"]:
                level.setdefault(bubble, 10 ** (rng.normal(0, 2.5) / 20))
            strength.append(np.array([level[bubble] for bubble in seen["bubble_id"]]))
        if gain:
            points.append(tissue.points(t / recipe.rate_hz))
            strength.append(gain * tissue.strength)
        where = np.concatenate(points)
        if len(where):
            echoes = [_cut(rf, samples) for rf in probe.echoes(where, np.concatenate(strength))]
        else:
            echoes = [np.zeros((samples, one[0].shape[1])) for _ in probe.delays]
        echoes = [rf + noise * rng.standard_normal(rf.shape) for rf in echoes]
        frames[t] = probe.image(echoes, samples) / peak
    if recipe.log_compressed:
        decibels = 20 * np.log10(np.abs(frames) / np.abs(frames).max() + 1e-12)
        return np.maximum(decibels + 60, 0).astype(np.float32), truth, grid  # type: ignore[return-value]
    return frames, truth, grid


class _Tissue:
    """Scatterers that move with breathing and heartbeat, slightly differently in each region."""

    def __init__(self, recipe: Recipe, grid: Grid, rng: np.random.Generator) -> None:
        low = np.asarray(grid.origin_um) * 1e-6
        high = grid.to_um(np.asarray(grid.shape) - 1) * 1e-6
        cell = np.asarray(recipe.width_wavelengths) * recipe.wavelength_um * 1e-6
        cells = np.prod(np.maximum((high - low) / cell, 1))
        n = int(min(_TISSUE_A_CELL * cells, _MOST_TISSUE))
        self.rest = rng.uniform(low, high, (n, 3))
        self.strength = rng.rayleigh(1.0, n) * rng.choice([-1.0, 1.0], n)
        inside = (self.rest - low) / np.maximum(high - low, 1e-9)
        # Breathing of 20 um and a heartbeat of 3 um along z, a third of these along x.
        self.breath = 20e-6 * (0.6 + 0.4 * inside[:, 0]) * (0.8 + 0.4 * inside[:, 2])
        self.heart = 3e-6 * (0.7 + 0.6 * inside[:, 2])
        self.delay = 0.5 * inside[:, 0] + 0.3 * inside[:, 2]

    def points(self, time_s: float) -> Points:
        pulse = (0.5 + 0.5 * np.cos(2 * np.pi * 1.3 * time_s - self.delay)) ** 4
        beat = np.sin(2 * np.pi * 6.5 * time_s - 2 * self.delay)
        axial = self.breath * pulse + self.heart * beat
        moved = self.rest.copy()
        moved[:, 0] += axial
        moved[:, 2] += axial / 3
        return moved


def _cut(rf: NDArray[Any], samples: int) -> NDArray[Any]:
    """Cut or pad echoes to equal length, independent of the scatterers' maximum depth."""
    out = np.zeros((samples, rf.shape[1]))
    out[: min(samples, len(rf))] = rf[:samples]
    return out


def _rms(image: NDArray[np.complex64]) -> float:
    return float(np.sqrt(np.mean(np.abs(image) ** 2)))
