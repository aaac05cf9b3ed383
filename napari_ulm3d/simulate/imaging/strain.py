"""Tissue clutter without a finite temporal rank: one field of speckle, displaced at every voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.config import ClutterModelConfig
from napari_ulm3d.simulate.imaging.kernels import add_displaced
from napari_ulm3d.simulate.imaging.psf import ImagePsf
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator
from napari_ulm3d.simulate.imaging.tissue import slow_change

__all__ = ["StrainTissue", "make_strain_tissue"]

_SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))
_LATERAL = 1 / 3  # lateral displacement relative to the axial one
_LEVEL_FRAMES = 16
_STRAIN = 1  # key of the random numbers, so that they are not those of the regions


@dataclass(frozen=True)
class StrainTissue:
    """Speckle that a smooth displacement field moves, and that slowly turns into another one.

    Attributes
    ----------
    fields
        (2, m z, y, x) complex64: two independent envelopes without the carrier, sampled m times as
        finely as the grid along z, periodic along all axes.
    maps
        (6, z, y, x) float32: maximum displacement (micrometres), and cosine and sine of the phase delay,
        of breathing and of the heartbeat.
    side
        (2,) displacement along y and x relative to that along z.
    fading_phase
        (2,) phases of the slow change of the speckle, radians.
    step_um
        (3,) sample spacing of the fields.
    phase_per_um
        Phase of the carrier per micrometre of depth.
    """

    fields: NDArray[np.complex64]
    maps: NDArray[np.float32]
    side: NDArray[np.float64]
    fading_phase: NDArray[np.float64]
    step_um: NDArray[np.float64]
    phase_per_um: float
    config: ClutterModelConfig

    def displacement_um(self, time_s: float) -> NDArray[np.float32]:
        """Axial displacement of the tissue at each voxel (z, y, x), micrometres."""
        config = self.config
        breath = np.float32(2 * np.pi * config.breathing_hz * time_s)
        heart = np.float32(2 * np.pi * config.heart_hz * time_s)
        reach, cosine, sine, beat_reach, beat_cosine, beat_sine = self.maps
        # cos and sin of the difference of the angle and the delay. As with the regions, a breath is
        # a pulse followed by a rest; a heartbeat has a second harmonic, sin 2a = 2 sin a cos a.
        pulse = np.float32(0.5) + np.float32(0.5) * (
            np.cos(breath) * cosine + np.sin(breath) * sine
        )
        across = np.sin(heart) * beat_cosine - np.cos(heart) * beat_sine
        along = np.cos(heart) * beat_cosine + np.sin(heart) * beat_sine
        pulse *= pulse
        beat = across * (1 + np.float32(0.8) * along) / np.float32(1.4)
        return np.asarray(reach * pulse * pulse + beat_reach * beat)

    def envelope(self, time_s: float) -> NDArray[np.complex64]:
        """The speckle at rest, as it is at this time, (m z, y, x)."""
        angle = self.config.fading * slow_change(time_s, self.fading_phase)
        mixed = np.float32(np.cos(angle)) * self.fields[0]
        mixed += np.float32(np.sin(angle)) * self.fields[1]
        return np.asarray(mixed)

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
            (3,) displacement of the whole scene, in addition to that of the tissue.
        """
        add_displaced(
            frame,
            np.float32(noise_scale),
            self.envelope(time_s),
            self.displacement_um(time_s),
            self.side,
            rigid_um,
            self.step_um,
            self.phase_per_um,
        )


def make_strain_tissue(
    config: ClutterModelConfig, psf: ImagePsf, grid: Grid, rate_hz: float, n_frames: int, seed: int
) -> StrainTissue:
    """Draw the speckle and its displacement.

    The speckle is complex white noise smoothed by the PSF's magnitude (fully developed: Wagner
    et al., IEEE Trans. Sonics Ultrason. 1983), on a grid whose axial step is at most a quarter of the
    wavelength and of the axial width. The displacement u at a voxel moves the envelope by u and
    changes its phase by -q 4 pi u_z / wavelength, as for a bubble. The mean squared magnitude over
    all voxels and the first 1000 frames is the configured level, measured on 16 of these frames.

    Parameters
    ----------
    psf
        Determines the size of the speckle and the carrier.
    n_frames
        Length of the acquisition, for the level.

    Raises
    ------
    ValueError
        `config.level_db` is None.
    """
    if config.level_db is None:
        raise ValueError("tissue needs a level")
    rng = generator(seed, Purpose.TISSUE, _STRAIN)
    middle = grid.origin_um[0] + grid.spacing_um[0] * (grid.shape[0] - 1) / 2
    width_um = psf.fwhm_um(middle)[0]
    finest = min(psf.wavelength_um, width_um[0]) / 4
    times = max(1, int(np.ceil(grid.spacing_um[0] / finest)))
    step_um = np.array(grid.spacing_um) / (times, 1, 1)
    shape = (times * grid.shape[0], *grid.shape[1:])
    fields = _speckle(rng, shape, width_um / step_um)
    phase_per_um = psf.phase_per_voxel / grid.spacing_um[0]
    _add_specular(fields, rng, config, step_um, width_um, phase_per_um)
    direction = rng.uniform(0, 2 * np.pi)
    side = _LATERAL * np.array([np.sin(direction), np.cos(direction)])
    if grid.shape[1] == 1:
        side = np.array([0.0, np.copysign(_LATERAL, side[1])])
    tissue = StrainTissue(
        fields=fields,
        maps=_displacement_maps(rng, config, grid.shape),
        side=side,
        fading_phase=rng.uniform(0, 2 * np.pi, 2),
        step_um=step_um,
        phase_per_um=phase_per_um,
        config=config,
    )
    times_s = np.linspace(0, (min(n_frames, 1000) - 1) / rate_hz, _LEVEL_FRAMES)
    fields *= np.float32(10 ** (config.level_db / 20) / _rms(tissue, grid.shape, times_s))
    return tissue


def _speckle(
    rng: np.random.Generator, shape: tuple[int, ...], width: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """Two periodic fields (2, *shape) of unit rms, correlated over `width` samples."""
    sigma = width * _SIGMA_PER_FWHM
    sigma[np.asarray(shape) == 1] = 0.0
    fields = np.empty((2, *shape), np.complex64)
    for field in fields:
        for part in (field.real, field.imag):
            white = rng.standard_normal(shape, np.float32)
            part[:] = gaussian_filter(white, sigma, mode="wrap")
        field /= np.sqrt(np.mean(np.abs(field) ** 2))
    return fields


def _add_specular(
    fields: NDArray[np.complex64],
    rng: np.random.Generator,
    config: ClutterModelConfig,
    step_um: NDArray[np.float64],
    width_um: NDArray[np.float64],
    phase_per_um: float,
) -> None:
    """Add bright layers and spots to the first field, which is the one seen at most times."""
    size = np.array(fields.shape[1:])
    z, y, x = (np.arange(n) * step for n, step in zip(size, step_um, strict=True))
    peak = 10 ** (config.specular_db / 20)
    for _ in range(config.layers):
        # Steeper surfaces reflect the beam away from the probe.
        slope = np.clip(rng.normal(0, 0.02, 2), -0.04, 0.04)
        surface = rng.uniform(0.05, 0.95) * size[0] * step_um[0] + (
            slope[0] * (y - y.mean())[:, None] + slope[1] * (x - x.mean())
        )
        rough = gaussian_filter(
            rng.standard_normal(size[1:]), (width_um / step_um)[1:], mode="wrap"
        )
        rough = 1 + 0.3 * rough / max(rough.std(), 1e-9) if rough.size > 1 else np.ones((1, 1))
        far = (z[:, None, None] - surface) / width_um[0]
        turned = peak * rough * np.exp(-1j * (phase_per_um * surface + rng.uniform(0, 2 * np.pi)))
        fields[0] += (np.exp(-4 * np.log(2) * far**2) * turned).astype(np.complex64)
    for _ in range(config.spots):
        place = rng.random(3) * size * step_um
        rows = [
            np.exp(-4 * np.log(2) * ((axis - at) / width) ** 2) if axis.size > 1 else np.ones(1)
            for axis, at, width in zip((z, y, x), place, width_um, strict=True)
        ]
        echo = peak * np.exp(1j * rng.uniform(0, 2 * np.pi))
        fields[0] += (echo * rows[0][:, None, None] * rows[1][:, None] * rows[2]).astype(
            np.complex64
        )


def _displacement_maps(
    rng: np.random.Generator, config: ClutterModelConfig, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """`StrainTissue.maps`: amplitudes and delays that change smoothly over the volume."""
    maps = np.empty((6, *shape), np.float32)
    for first, reach_um, spread in ((0, config.breathing_um, 0.25), (3, config.heart_um, 0.5)):
        maps[first] = reach_um * np.clip(0.65 + 0.17 * _smooth(rng, shape), 0, 1)
        delay = rng.uniform(0, 2 * np.pi) + spread * _smooth(rng, shape)
        maps[first + 1], maps[first + 2] = np.cos(delay), np.sin(delay)
    return maps


def _smooth(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """A random smooth function over the volume (z, y, x): a gradient and slow waves, rms about 1."""
    place = np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in shape), indexing="ij")
    gradient = rng.normal(0, 1, 3)
    value = sum(slope * axis for slope, axis in zip(gradient, place, strict=True)) * np.sqrt(2)
    for _ in range(4):
        # At most one period over the volume.
        wave, phase = rng.uniform(-1, 1, 3), rng.uniform(0, 2 * np.pi)
        angle = 2 * np.pi * sum(k * axis for k, axis in zip(wave, place, strict=True))
        value = value + 0.6 * np.cos(angle + phase)
    return np.asarray(value)


def _rms(tissue: StrainTissue, shape: tuple[int, int, int], times_s: NDArray[np.float64]) -> float:
    frame = np.zeros(shape, np.complex64)
    power = 0.0
    for time_s in times_s.tolist():
        frame[:] = 0
        tissue.add_to(frame, 0.0, time_s, np.zeros(3))
        power += float(np.mean(np.abs(frame) ** 2, dtype=np.float64)) / len(times_s)
    return float(np.sqrt(power))
