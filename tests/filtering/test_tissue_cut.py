"""The first component kept, for known tissue."""

from __future__ import annotations

import numpy as np
import pytest
from moving_speckle import moving_speckle

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.filtering import svd_filter, tissue_cut
from napari_ulm3d.filtering.tissue_cut import cut_of_spectrum, resolution_cells
from napari_ulm3d.simulate import SimulationConfig, simulate
from napari_ulm3d.simulate.config import ClutterModelConfig, GridConfig, MicrobubbleConfig


def _block(rank: int, level_db: float | None, step: float) -> np.ndarray:
    """Frames of a region of 2.8 mm, sampled every `step` wavelengths."""
    n = round(28 / step)
    config = SimulationConfig(
        grid=GridConfig(shape=(n, 1, n), voxel_um=(98.56 * step, 98.56, 98.56 * step)),
        n_frames=120,
        clutter=ClutterModelConfig(rank=rank, level_db=level_db),
        bubbles=MicrobubbleConfig(n_bubbles=8),
        seed=3,
    )
    return simulate(config).acquisition.read(0, 120)


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("rank", [2, 5])
def test_tissue_is_cut_and_bubbles_are_not_at_any_sampling(rank: int, step: float) -> None:
    cut = tissue_cut(_block(rank, 25.0, step))
    # A region that moves by a fraction of a wavelength occupies a few components.
    assert 2 <= cut.first <= 4 * rank + 2


def test_finely_sampled_bubbles_are_not_taken_for_tissue() -> None:
    """The similarity of spatial vectors removes most of such a block."""
    block = _block(3, 20.0, 0.2)
    _, (first, last), _ = svd_filter(block, ClutterConfig())
    assert first < 16
    assert last == 120


def test_without_tissue_nothing_much_is_cut() -> None:
    assert tissue_cut(_block(3, None, 1.0)).first <= 3


def test_masked_voxels_do_not_move_the_cut() -> None:
    block = _block(4, 25.0, 1.0)
    valid = np.ones(block.shape[1:], bool)
    valid[:, :, 18:] = False
    inside = np.ascontiguousarray(block[..., :18])
    masked = np.where(valid, block, 0).astype(np.complex64)
    assert tissue_cut(masked, valid).first == tissue_cut(inside).first


def test_too_few_frames_for_a_comparison() -> None:
    assert tissue_cut(np.ones((4, 3, 3, 3), np.complex64)).first == 1


def test_a_steep_fall_of_the_energy_within_tissue_is_not_its_end() -> None:
    # Strong moving speckle: one dominant component and eight more that also fill the volume.
    values = 10 ** (np.array([78, 59, 52, 41, 38, 35, 26, 23, 20, *np.linspace(17, 0, 20)]) / 20)
    shares = np.array([0.24, 0.11, 0.16, 0.13, 0.2, 0.09, 0.17, 0.13, 0.16, *[0.04] * 20])
    assert cut_of_spectrum(values, shares, np.full(29, 0.1)).first == 10


@pytest.mark.parametrize("n_bubbles", [1, 3])
def test_tissue_that_goes_straight_over_into_noise_is_cut(n_bubbles: int) -> None:
    """As before an injection, or with faint bubbles: what is left is the receiver's noise."""
    moving, _ = moving_speckle(
        50.0, n_bubbles=n_bubbles, noise_db=-10.0, tissue_db=20.0, n_frames=160, seed=11
    )
    block = moving.read(0, 160)
    assert tissue_cut(block).first > 3
    left, _, _ = svd_filter(block, ClutterConfig())
    assert np.sqrt(np.mean(np.abs(left) ** 2)) == pytest.approx(10 ** (-10 / 20), rel=0.15)


def test_faint_components_behind_a_false_drop_are_tissue() -> None:
    # The first component fills the volume twice as well as the others, which is a drop of its own.
    values = 10 ** (np.array([66.0, 40, 35, 27, 21, 16, 9, 1, *[0.0] * 12]) / 20)
    shares = np.array([0.49, 0.3, 0.28, 0.34, 0.31, 0.19, 0.3, 0.37, *[0.49] * 12])
    occupied = np.array([*[0.05] * 8, *[0.5] * 12])
    assert cut_of_spectrum(values, shares, occupied).first == 8
    # In a field of a few resolution cells, bubbles extend as far.
    assert cut_of_spectrum(values, shares, occupied, lambda k: 50.0).first == 2


def test_resolution_cells_are_those_of_speckle() -> None:
    """Speckle with 8 x 8 spatial frequencies, on any grid."""
    rng = np.random.default_rng(2)
    for size in (32, 64):
        spectrum = np.zeros((size, 1, size), np.complex64)
        spectrum[:8, 0, :8] = np.exp(2j * np.pi * rng.random((8, 8)))
        assert resolution_cells(np.fft.ifftn(spectrum)) == pytest.approx(64)
