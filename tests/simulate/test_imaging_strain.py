"""Tissue under strain: speckle, level, displacement as an independent estimator sees it, no finite rank."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from napari_ulm3d.simulate import SimulationConfig
from napari_ulm3d.simulate.config import (
    ClutterModelConfig,
    GridConfig,
    NoiseConfig,
    PsfModelConfig,
)
from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.imaging.render import Renderer
from napari_ulm3d.simulate.imaging.scene import SceneFrame
from napari_ulm3d.simulate.imaging.strain import StrainTissue, make_strain_tissue

STRAIN = ClutterModelConfig(model="strain")
CONFIG = SimulationConfig(
    grid=GridConfig(shape=(24, 16, 18)),
    n_frames=120,
    noise=NoiseConfig(snr_db=None),
    clutter=STRAIN,
    seed=3,
)
NOBODY = (np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)), np.empty(0))


def tissue_alone(
    config: SimulationConfig, shift_um: tuple[float, float, float] = (0, 0, 0)
) -> NDArray[np.complex128]:
    shift = np.array(shift_um, float)
    scene = [
        SceneFrame(BubbleFrame(t, *NOBODY), np.empty(0), shift) for t in range(config.n_frames)
    ]
    return Renderer(config).render(scene).astype(np.complex128)


def made(config: SimulationConfig) -> StrainTissue:
    psf = Renderer(config.replace(clutter={"level_db": None})).psf
    return make_strain_tissue(
        config.clutter, psf, config.grid.grid, config.rate_hz, config.n_frames, config.seed
    )


@pytest.mark.parametrize("more", [{}, {"layers": 2, "spots": 3, "fading": 0.1}])
def test_it_has_the_configured_level(more: dict[str, float]) -> None:
    config = CONFIG.replace(clutter=STRAIN.replace(level_db=30.0, **more))
    frames = tissue_alone(config)
    assert 10 * np.log10(np.mean(np.abs(frames) ** 2)) == pytest.approx(30.0, abs=0.05)


def test_it_is_fully_developed_speckle_of_the_size_of_the_psf() -> None:
    config = CONFIG.replace(
        grid=GridConfig(shape=(48, 40, 40), voxel_um=(60.0, 80.0, 80.0)),
        psf=PsfModelConfig(fwhm_um=(240.0, 320.0, 320.0), widening_per_mm=0.0, carrier=0.9),
        n_frames=1,
    )
    frame = tissue_alone(config)[0]
    magnitude = np.abs(frame[::8, ::8, ::8].ravel())
    # Fully developed speckle has a Rayleigh distribution: mean over standard deviation 1.91.
    scale = np.sqrt(np.mean(magnitude**2) / 2)
    assert stats.kstest(magnitude, stats.rayleigh(scale=scale).cdf).pvalue > 1e-3
    # White noise smoothed with a Gaussian is correlated over sqrt(2) times its width.
    power = np.mean(np.abs(frame) ** 2)
    beside = np.mean(frame[:, :, 4:] * frame[:, :, :-4].conj()).real / power
    assert beside == pytest.approx(np.exp(-2 * np.log(2)), abs=0.08)
    below = np.mean(frame[4:] * frame[:-4].conj()) / power
    assert np.abs(below) == pytest.approx(np.exp(-2 * np.log(2)), abs=0.08)
    carrier = 0.9 * 4 * np.pi * 60.0 / config.wavelength_um
    turn = np.angle(np.mean(frame[1:] * frame[:-1].conj()) * np.exp(-1j * carrier))
    assert turn == pytest.approx(0, abs=0.05)


def test_an_estimator_of_the_field_recovers_its_displacement() -> None:
    # Kasai et al., IEEE Trans. Sonics Ultrason. 1985: the phase of the lag-one product.
    config = CONFIG.replace(
        clutter=STRAIN.replace(breathing_um=10.0, heart_um=3.0, fading=0.0), n_frames=90
    )
    frames, tissue = tissue_alone(config), made(config)
    moved = np.array([tissue.displacement_um(t / config.rate_hz) for t in range(90)])
    product = frames[1:] * frames[:-1].conj()
    # Products summed over small neighbourhoods weight each voxel by its power.
    cells = product.reshape(89, 4, 6, 4, 4, 3, 6).sum(axis=(2, 4, 6))
    weight = np.abs(product).reshape(89, 4, 6, 4, 4, 3, 6)
    true = np.diff(moved, axis=0).reshape(weight.shape) * weight
    true = true.sum(axis=(2, 4, 6)) / weight.sum(axis=(2, 4, 6))
    found = -np.angle(cells) * config.wavelength_um / (4 * np.pi)
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.98
    assert np.polyfit(true.ravel(), found.ravel(), 1)[0] == pytest.approx(1, abs=0.05)


def test_envelopes_move_along_all_axes() -> None:
    config = CONFIG.replace(n_frames=1)
    still = tissue_alone(config)[0]
    moved = tissue_alone(config, (98.56, 150.0, 300.0))[0]
    np.testing.assert_allclose(
        np.abs(moved[1:, 1:, 2:]), np.abs(still[:-1, :-1, :-2]), rtol=0.02, atol=0.6
    )


def test_displacements_differ_over_the_volume_and_stay_within_their_reach() -> None:
    tissue = made(CONFIG.replace(clutter=STRAIN.replace(breathing_um=9.0, heart_um=3.0)))
    moved = np.array([tissue.displacement_um(t / 100) for t in range(300)])
    assert moved.min() >= -3.0
    assert moved.max() <= 12.0
    assert np.ptp(moved, axis=(1, 2, 3)).max() > 1.0
    assert np.abs(np.diff(moved, axis=1)).max() < 0.15 * moved.max(), "smooth over the volume"


def test_its_temporal_rank_is_not_that_of_a_few_regions() -> None:
    def decibels(config: SimulationConfig) -> NDArray[np.float64]:
        values = np.linalg.svd(tissue_alone(config).reshape(config.n_frames, -1), compute_uv=False)
        return np.asarray(20 * np.log10(values / values[0]))

    regions = decibels(CONFIG.replace(clutter=STRAIN.replace(model="regions", rank=8)))
    strain = decibels(CONFIG)
    assert regions[8] < -100
    assert strain[8] > -70
    assert strain[14] > -100


def test_two_dimensional_tissue_moves_in_its_plane() -> None:
    config = CONFIG.replace(grid=GridConfig(shape=(30, 1, 30), voxel_um=(50.0, 400.0, 100.0)))
    tissue = made(config)
    assert tissue.side[0] == 0
    assert abs(tissue.side[1]) == pytest.approx(1 / 3)
    frames = tissue_alone(config)
    assert 10 * np.log10(np.mean(np.abs(frames) ** 2)) == pytest.approx(25.0, abs=0.05)
