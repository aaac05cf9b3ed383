"""Tissue clutter: speckle in a few regions that each move rigidly with breathing and heartbeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.config import ClutterModelConfig
from napari_ulm3d.simulate.imaging.kernels import combine_tissue
from napari_ulm3d.simulate.imaging.psf import ImagePsf
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator

__all__ = ["Tissue", "make_tissue", "slow_change"]

_SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))


@dataclass(frozen=True)
class Tissue:
    """A weighted sum of k speckle envelopes per frame, so the temporal rank is at most k.

    Attributes
    ----------
    fields
        (k, z, y, x) complex64, without the axial carrier.
    reach_um
        (k, 2) maximum axial displacement of each region by breathing and heartbeat.
    delay
        (k, 2) phase delay of each region, radians.
    fading_phase
        (k, 2) phases of the slow change of amplitude, radians.
    """

    fields: NDArray[np.complex64]
    reach_um: NDArray[np.float64]
    delay: NDArray[np.float64]
    fading_phase: NDArray[np.float64]
    config: ClutterModelConfig
    wavelength_um: float
    spacing_um: tuple[float, float, float]

    def displacement_um(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Axial displacement (t, k) of the regions, micrometres."""
        breath = 2 * np.pi * self.config.breathing_hz * time_s[:, None] - self.delay[:, 0]
        heart = 2 * np.pi * self.config.heart_hz * time_s[:, None] - self.delay[:, 1]
        # A breath is a pulse followed by a rest; a heartbeat has a second harmonic.
        pulse = (0.5 + 0.5 * np.cos(breath)) ** 4
        beat = (np.sin(heart) + 0.4 * np.sin(2 * heart)) / 1.4
        return self.reach_um[:, 0] * pulse + self.reach_um[:, 1] * beat

    def weights(self, time_s: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Weights (t, k) of the fields at times (t,), seconds."""
        phase = -4 * np.pi / self.wavelength_um * self.displacement_um(time_s)
        slow = slow_change(time_s[:, None], self.fading_phase)
        return ((1 + self.config.fading * slow) * np.exp(1j * phase)).astype(np.complex64)

    def add_to(
        self,
        frame: NDArray[np.complex64],
        noise_scale: float,
        time_s: float,
        rigid_um: NDArray[np.float64],
    ) -> None:
        """Scale the noise in a frame (z, y, x) and add the tissue, in place.

        Parameters
        ----------
        rigid_um
            (3,) displacement of the whole scene, in addition to that of the regions.
        """
        spacing = np.asarray(self.spacing_um)
        z_um = np.arange(frame.shape[0]) * spacing[0] - rigid_um[0]
        carrier = np.exp(4j * np.pi * z_um / self.wavelength_um).astype(np.complex64)
        weights = self.weights(np.array([time_s]))[0]
        combine_tissue(
            frame, np.float32(noise_scale), self.fields, weights, rigid_um / spacing, carrier
        )


def slow_change(time_s: ArrayLike, phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of two slow sinusoids, with the phases (..., 2), at times of any shape, seconds."""
    time = np.asarray(time_s)[..., None]
    return np.asarray(np.sin(2 * np.pi * np.array([0.11, 0.37]) * time + phase).sum(axis=-1))


def make_tissue(
    config: ClutterModelConfig, psf: ImagePsf, grid: Grid, rate_hz: float, n_frames: int, seed: int
) -> Tissue:
    """Draw the speckle and the motion of the tissue.

    The grid is divided into `rank` regions with soft borders (Gaussian weights around random
    centres, whose squares sum to one). Each has its own speckle: complex white noise smoothed
    by the PSF's magnitude, which is fully developed speckle (Wagner et al., IEEE Trans.
    Sonics Ultrason. 1983). A region's axial displacement u changes its phase by
    ``-4 pi u / wavelength`` (the shift of the envelope by a few micrometres is neglected).
    Displacements vary smoothly between regions. The mean squared magnitude over all voxels
    and the first 1000 frames is exactly the configured level.

    Parameters
    ----------
    psf
        Determines the size of the speckle.
    n_frames
        Length of the acquisition, for the level.

    Raises
    ------
    ValueError
        `config.level_db` is None.
    """
    if config.level_db is None:
        raise ValueError("tissue needs a level")
    rng = generator(seed, Purpose.TISSUE)
    k = config.rank
    position = [(np.arange(n) + 0.5) / n for n in grid.shape]
    centre = rng.random((k, 3))
    shares = np.empty((k, *grid.shape), np.float32)
    # Regions that divide a unit cube evenly have this radius.
    radius = 0.6 * k ** (-1 / 3)
    for region in range(k):
        z, y, x = (
            np.exp(-0.5 * ((p - c) / radius) ** 2)
            for p, c in zip(position, centre[region], strict=True)
        )
        shares[region] = z[:, None, None] * y[:, None] * x + 1e-12
    shares /= np.sqrt((shares**2).sum(axis=0))

    middle = grid.origin_um[0] + grid.spacing_um[0] * (grid.shape[0] - 1) / 2
    sigma = psf.fwhm_voxels(middle)[0] * _SIGMA_PER_FWHM
    sigma[np.asarray(grid.shape) == 1] = 0.0
    fields = np.empty((k, *grid.shape), np.complex64)
    for region in range(k):
        for part in (fields.real, fields.imag):
            white = rng.standard_normal(grid.shape, np.float32)
            smooth = gaussian_filter(white, sigma, mode="wrap")
            part[region] = smooth * shares[region] / smooth.std()

    # Nearby regions move alike: a gradient over the volume plus small individual differences.
    gradient = rng.uniform(-0.35, 0.35, (3, 2))
    reach = np.clip(0.65 + (centre - 0.5) @ gradient * 1.4 + rng.normal(0, 0.05, (k, 2)), 0, 1)
    tissue = Tissue(
        fields=fields,
        reach_um=reach * (config.breathing_um, config.heart_um),
        delay=rng.uniform(0, 2 * np.pi, 2) + rng.normal(0, 0.1, (k, 2)),
        fading_phase=rng.uniform(0, 2 * np.pi, (k, 2)),
        config=config,
        wavelength_um=psf.wavelength_um,
        spacing_um=grid.spacing_um,
    )
    fields *= np.float32(10 ** (config.level_db / 20) / _rms(tissue, rate_hz, min(n_frames, 1000)))
    return tissue


def _rms(tissue: Tissue, rate_hz: float, n_frames: int) -> float:
    weights = tissue.weights(np.arange(n_frames) / rate_hz).astype(np.complex128)
    flat = tissue.fields.reshape(len(tissue.fields), -1).astype(np.complex128)
    over_voxels = flat.conj() @ flat.T / flat.shape[1]
    over_time = weights.conj().T @ weights / n_frames
    return float(np.sqrt((over_voxels * over_time).sum().real))
