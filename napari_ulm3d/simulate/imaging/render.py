"""Rendering of a scene as complex volumes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.simulate.imaging.kernels import add_bubbles
from napari_ulm3d.simulate.imaging.noise import add_grain, fill_with_noise, grain_taps, noise_rms
from napari_ulm3d.simulate.imaging.psf import ImagePsf
from napari_ulm3d.simulate.imaging.scene import SceneFrame
from napari_ulm3d.simulate.imaging.strain import make_strain_tissue
from napari_ulm3d.simulate.imaging.tissue import make_tissue
from napari_ulm3d.simulate.imaging.view import field_of_view, planes
from napari_ulm3d.system.machine import processors

__all__ = ["Renderer"]


class Renderer:
    """Render frames from noise, tissue and bubbles, each frame independently.

    Amplitudes are relative to the mean bubble, whose peak is 1 (see `docs/simulation.md`).

    Parameters
    ----------
    config
        Settings of the whole simulation.
    workers
        Number of threads; None: one per core. The frames do not depend on it.
    """

    def __init__(self, config: SimulationConfig, workers: int | None = None) -> None:
        self._config = config
        self._grid = config.grid.grid
        self._workers = workers or processors()
        self._psf = ImagePsf(config.psf, self._grid, config.wavelength_um)
        _ = self._psf.measured  # a wrong image is refused here, not in a thread
        _, *lateral = zip(self._grid.spacing_um, self._grid.shape, strict=True)
        self._grain = [grain_taps(config.noise.grain_um, step, n) for step, n in lateral]
        grid, view = self._grid, config.view
        growth, gain = config.noise.growth_db_per_mm, view.gain_db_per_mm
        self._noise_planes = planes(growth, grid) if growth else None
        self._gain = planes(gain, grid) if gain else None
        seen = field_of_view(view, grid)
        self._blind = None if seen is None else ~seen
        make = make_strain_tissue if config.clutter.model == "strain" else make_tissue
        self._tissue = (
            None
            if config.clutter.level_db is None
            else make(
                config.clutter,
                self._psf,
                self._grid,
                config.rate_hz,
                config.n_frames,
                config.seed,
            )
        )

    @property
    def psf(self) -> ImagePsf:
        return self._psf

    def render(self, scene: Sequence[SceneFrame]) -> NDArray[np.complex64]:
        """Frames (t, z, y, x) complex64 of a scene; only the result takes much memory."""
        frames = np.empty((len(scene), *self._grid.shape), np.complex64)
        if len(scene) == 1 or self._workers == 1:
            for frame, seen in zip(frames, scene, strict=True):
                self._render(frame, seen)
            return frames
        with ThreadPoolExecutor(min(self._workers, len(scene))) as pool:
            # Consuming the results raises the exceptions of individual frames.
            for _ in pool.map(self._render, frames, scene):
                pass
        return frames

    def _render(self, frame: NDArray[np.complex64], seen: SceneFrame) -> None:
        config = self._config
        rms = noise_rms(config.noise.snr_db)
        if rms > 0:
            scale = rms / fill_with_noise(frame, config.seed, seen.frame)
            if config.noise.grain_um > 0:
                add_grain(frame, *self._grain)
            if self._noise_planes is not None:
                frame *= self._noise_planes
        else:
            frame[:] = 0
            scale = 1.0
        if self._tissue is not None:
            time_s = seen.frame / config.rate_hz
            self._tissue.add_to(frame, scale, time_s, seen.displacement_um)
        elif rms > 0:
            frame *= np.float32(scale)
        if len(seen.bubbles.position_um):
            self._add_bubbles(frame, seen)
        if self._gain is not None:
            frame *= self._gain
        if self._blind is not None:
            frame[self._blind] = 0

    def _add_bubbles(self, frame: NDArray[np.complex64], seen: SceneFrame) -> None:
        position = seen.bubbles.position_um
        index = np.ascontiguousarray(self._grid.to_index(position))
        amplitude = 10.0 ** (seen.level_db / 20)
        measured = self._psf.measured
        if measured is None:
            add_bubbles(
                frame,
                index,
                amplitude,
                np.ascontiguousarray(self._psf.fwhm_voxels(position[:, 0])),
                self._psf.phase_per_voxel,
                self._psf.side_level,
                self._psf.config.side_lobe_offset,
            )
        else:
            voxel = np.asarray(self._grid.spacing_um) / self._psf.wavelength_um
            amplitude = amplitude * self._psf.beyond_plane(index[:, 1])
            measured.add_to(frame, index, amplitude, voxel)
