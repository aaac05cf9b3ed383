"""The first component kept, for known tissue."""

from __future__ import annotations

import numpy as np
import pytest
from moving_speckle import moving_speckle

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.filtering import svd_filter, tissue_cut
from napari_ulm3d.filtering.tissue_cut import cut_of_spectrum, resolution_cells
from napari_ulm3d.simulate import SimulationConfig, preset, simulate
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


def test_a_component_of_few_scatterers_is_not_the_end_of_the_tissue() -> None:
    """A plane of SIMUS (PyMUST) with faint bubbles: the second component is less spread than its neighbours."""
    values = 10 ** (np.array([62.0, 38, 34, 21, 11, 6.4, 2.0, *[0.0] * 13]) / 20)
    shares = np.array([0.2, 0.094, 0.25, 0.133, 0.148, 0.202, 0.147, *[0.49] * 13])
    occupied = np.array([*[0.04] * 7, *[0.45] * 13])
    assert cut_of_spectrum(values, shares, occupied).first == 7
    # In a small field, many bubbles are spread as widely, and only what precedes them is certain.
    assert cut_of_spectrum(values, shares, occupied, lambda k: 120.0).first == 2
    # Compact ones are bubbles if nothing above the noise follows them that fills the volume.
    shares[3:6] = 0.09
    assert cut_of_spectrum(values, shares, occupied).first == 4
    # Nor does a component that noise has spread over the field count.
    shares[3:6], values[4:6] = (0.133, 0.02, 0.202), 10 ** (np.array([11, 5.0]) / 20)
    assert cut_of_spectrum(values, shares, occupied).first == 5


def test_tissue_under_strain_does_not_end_at_its_first_component() -> None:
    """Tissue of our simulator without a finite rank; bubbles, not noise, fill the last components."""
    strongest = [61.6, 39.3, 37.1, 32.9, 28.7, 23.4, 17.1, 14.2, 11.1, 10.0, 7.3, 6.4, 5.5]
    spread = [0.51, 0.19, 0.24, 0.22, 0.2, 0.08, 0.06, 0.12, 0.1, 0.03, 0.06, 0.13, 0.12]
    values = 10 ** (np.array([*strongest, *np.linspace(3.5, -2.8, 27)]) / 20)
    shares = np.array([*spread, *np.linspace(0.02, 0.15, 27)])
    assert cut_of_spectrum(values, shares, np.full(40, 0.15)).first == 14
    # Bubbles as bright as that are compact, and stay.
    shares[1:13] = 0.03
    assert cut_of_spectrum(values, shares, np.full(40, 0.15)).first == 2


def test_a_bright_layer_does_not_end_the_tissue() -> None:
    """A surface and a few points, as bone or a wall, move with the tissue: half of the power is theirs."""
    base = preset("mouse-brain-15MHz")
    config = base.replace(
        n_frames=200,
        seed=8_000_000_711,
        grid={"shape": (32, 28, 28), "voxel_um": (98.56, 150.0, 150.0)},
        clutter={**base.clutter.model_dump(), "model": "strain", "level_db": 32,
                 "breathing_um": 9.9, "heart_um": 2.0, "layers": 3, "spots": 6},
    )  # fmt: skip
    block = simulate(config).acquisition.read(0, 200)
    left, _, _ = svd_filter(block, ClutterConfig())
    # The tissue is 50 dB above the noise of -18 dB; what is left are mostly noise and bubbles.
    assert np.sqrt(np.mean(np.abs(left) ** 2)) < 2 * 10 ** (-18 / 20)


def test_resolution_cells_are_those_of_speckle() -> None:
    """Speckle with 8 x 8 spatial frequencies, on any grid."""
    rng = np.random.default_rng(2)
    for size in (32, 64):
        spectrum = np.zeros((size, 1, size), np.complex64)
        spectrum[:8, 0, :8] = np.exp(2j * np.pi * rng.random((8, 8)))
        assert resolution_cells(np.fft.ifftn(spectrum)) == pytest.approx(64)
