"""Tissue clutter and bubble levels: level, rank, slow motion, statistics."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate import SimulationConfig
from napari_ulm3d.simulate.config import (
    ClutterModelConfig,
    GridConfig,
    MicrobubbleConfig,
    NoiseConfig,
    PsfModelConfig,
)
from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.imaging.amplitude import BubbleLevels
from napari_ulm3d.simulate.imaging.psf import ImagePsf
from napari_ulm3d.simulate.imaging.render import Renderer
from napari_ulm3d.simulate.imaging.scene import SceneFrame
from napari_ulm3d.simulate.imaging.tissue import make_tissue

CONFIG = SimulationConfig(
    grid=GridConfig(shape=(24, 16, 18)), n_frames=200, noise=NoiseConfig(snr_db=None), seed=3
)
NOBODY = (np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)), np.empty(0))


def tissue_alone(
    config: SimulationConfig, shift_um: tuple[float, float, float] = (0, 0, 0)
) -> NDArray[np.complex64]:
    renderer = Renderer(config)
    shift = np.array(shift_um, float)
    scene = [
        SceneFrame(BubbleFrame(t, *NOBODY), np.empty(0), shift) for t in range(config.n_frames)
    ]
    return renderer.render(scene)


@pytest.mark.parametrize("level_db", [10.0, 30.0])
def test_tissue_has_the_configured_level_and_rank(level_db: float) -> None:
    config = CONFIG.replace(clutter=ClutterModelConfig(level_db=level_db, rank=6))
    frames = tissue_alone(config).astype(np.complex128)
    assert 10 * np.log10(np.mean(np.abs(frames) ** 2)) == pytest.approx(level_db, abs=0.01)
    singular = np.linalg.svd(frames.reshape(200, -1), compute_uv=False)
    assert singular[6] < 1e-5 * singular[0]
    assert singular[1] > 1e-4 * singular[0], "tissue that moves has more than one component"


def test_tissue_is_slow() -> None:
    frames = tissue_alone(CONFIG).reshape(200, -1)
    spectrum = np.mean(np.abs(np.fft.fft(frames * np.hanning(200)[:, None], axis=0)) ** 2, axis=1)
    frequency = np.abs(np.fft.fftfreq(200, 1 / CONFIG.rate_hz))
    assert spectrum[frequency > 40].sum() < 1e-3 * spectrum.sum()


def test_tissue_is_speckle_of_the_size_of_the_psf() -> None:
    config = CONFIG.replace(
        grid=GridConfig(shape=(48, 40, 40), voxel_um=(60.0, 80.0, 80.0)),
        psf=PsfModelConfig(fwhm_um=(240.0, 320.0, 320.0), widening_per_mm=0.0),
        clutter=ClutterModelConfig(rank=1),
        n_frames=1,
    )
    frame = tissue_alone(config)[0].astype(np.complex128)
    z = 60.0 * np.arange(48)
    envelope = frame * np.exp(-4j * np.pi * z / config.wavelength_um)[:, None, None]
    # Fully developed: the intensity is exponential. Thinned out to independent samples.
    intensity = np.abs(envelope[::8, ::8, ::8].ravel()) ** 2
    assert stats.kstest(intensity / intensity.mean(), "expon").pvalue > 1e-3
    # White noise smoothed with a Gaussian is correlated over sqrt(2) times its width.
    ahead = np.mean(envelope[:, :, 4:] * envelope[:, :, :-4].conj()).real
    expected = np.exp(-4 * np.log(2) * (320 / (320 * np.sqrt(2))) ** 2)
    assert ahead / np.mean(np.abs(envelope) ** 2) == pytest.approx(expected, abs=0.06)


def test_shifted_tissue_changes_its_phase_like_a_bubble() -> None:
    config = CONFIG.replace(n_frames=1, psf=PsfModelConfig(fwhm_um=(900.0, 900.0, 900.0)))
    still, deeper = tissue_alone(config)[0], tissue_alone(config, (12.0, 0.0, 0.0))[0]
    turned = np.angle(np.vdot(still, deeper))
    assert turned == pytest.approx(-4 * np.pi * 12.0 / config.wavelength_um, abs=0.05)


def test_tissue_shifted_by_one_voxel_equals_the_next_voxel() -> None:
    config = CONFIG.replace(n_frames=1)
    still = tissue_alone(config)[0]
    moved = tissue_alone(config, (0.0, 150.0, 300.0))[0]
    np.testing.assert_allclose(moved[:, 1:, 2:], still[:, :-1, :-2], rtol=1e-4, atol=1e-3)


def test_displacements_stay_within_their_reach() -> None:
    config = ClutterModelConfig(breathing_um=9.0, heart_um=3.0)
    grid = Grid((8, 8, 8), (100.0, 100.0, 100.0))
    psf = ImagePsf(PsfModelConfig(), grid, 100.0)
    tissue = make_tissue(config, psf, grid, 200.0, 100, seed=0)
    moved = tissue.displacement_um(np.arange(4000) / 200)
    assert moved.min() >= -3.0
    assert moved.max() <= 12.0
    assert moved.max() > 3.0


def test_levels_are_normal_and_drift_with_their_correlation_time() -> None:
    config = MicrobubbleConfig(amplitude_sd_db=3.0, drift_sd_db=2.0, drift_time_s=0.1)
    levels = BubbleLevels(config, rate_hz=100.0, seed=1)
    ids = np.arange(4000)
    series = np.stack([levels.step(t, ids) for t in range(60)])
    assert series[0].mean() == pytest.approx(0.0, abs=0.2)
    assert series[0].std() == pytest.approx(np.hypot(3, 2), rel=0.05)
    both = series - series[0]
    # Var(x_t - x_0) = 2 sd^2 (1 - exp(-t / tau)), independent of the constant part.
    for lag in (1, 10, 50):
        expected = 2 * 4.0 * (1 - np.exp(-lag / 10))
        assert both[lag].var() == pytest.approx(expected, rel=0.1)


def test_levels_follow_bubbles_that_enter_and_leave() -> None:
    config = MicrobubbleConfig(amplitude_sd_db=3.0, drift_sd_db=0.0)
    levels = BubbleLevels(config, rate_hz=100.0, seed=1)
    first = levels.step(0, np.array([5, 2, 9]))
    second = levels.step(1, np.array([9, 11, 5]))
    assert second[0] == first[2]
    assert second[2] == first[0]
    assert levels.step(2, np.empty(0, np.int64)).size == 0
