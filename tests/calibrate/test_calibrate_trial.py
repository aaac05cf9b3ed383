"""The cut and its neighbours are tried, on frames that no simulator of the package makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import calibrate, combine
from napari_ulm3d.calibrate.trial import CutSample, TriedCut, best_shift
from napari_ulm3d.config import ClutterConfig, PipelineConfig
from napari_ulm3d.filtering import FilteredBlock, TissueCut, clutter_filter, tissue_cut

RANK, N_FRAMES, SIDE, RATE_HZ = 4, 120, 48, 300.0


@pytest.fixture(scope="module")
def block() -> NDArray[np.complex64]:
    """Four fields that flicker, the last no stronger than the bubbles, and six bubbles on lines."""
    rng = np.random.default_rng(5)
    at = np.arange(SIDE)
    time = np.arange(N_FRAMES)
    frames = np.zeros((N_FRAMES, SIDE, 1, SIDE), np.complex64)
    for level, hertz in zip((60.0, 30.0, 15.0, 2.0), (0.0, 2.5, 5.0, 7.5), strict=True):
        field = rng.standard_normal((2, SIDE, SIDE)).T @ [1, 1j]
        blur = np.exp(-(((at[:, None] - at) / 1.5) ** 2))
        field = blur @ field @ blur
        flicker = np.exp(2j * np.pi * hertz * time / RATE_HZ)
        frames[:, :, 0] += level * flicker[:, None, None] * field / np.abs(field).std()
    start = rng.uniform(8, SIDE - 8, (6, 2))
    step = rng.uniform(-0.3, 0.3, (6, 2))
    for t in time:
        place = SIDE / 2 + (np.mod(start + t * step + SIDE / 2, SIDE) - SIDE / 2)
        z, x = np.exp(
            -4 * np.log(2) * ((at - np.mod(place, SIDE)[..., None]) / 3.0) ** 2
        ).transpose(1, 0, 2)
        phase = np.exp(1j * (np.arange(6) - 0.9 * place[:, 0]))
        frames[t, :, 0] += 3 * (z * phase[:, None]).T @ x
    noise = rng.standard_normal((2, *frames.shape)) * 0.1
    return (frames + noise[0] + 1j * noise[1]).astype(np.complex64)


@pytest.fixture(scope="module")
def acquisition(block: NDArray[np.complex64]) -> Acquisition:
    return Acquisition.from_array(block.copy(), (50.0, 50.0, 50.0), RATE_HZ, wavelength_um=100.0)


def _filtered(block: NDArray[np.complex64], first: int) -> FilteredBlock:
    return clutter_filter(block.copy(), RATE_HZ, ClutterConfig(svd_range=(first, N_FRAMES)))


def test_a_sample_is_filtered_like_the_block(block: NDArray[np.complex64]) -> None:
    sample = CutSample.of(block, replace(tissue_cut(block), first=RANK + 1))
    assert sample is not None
    filtered = _filtered(block, RANK + 1).frames
    for shift in (-1, 0, 1):
        whole = _filtered(block, RANK + 1 + shift).frames
        few = np.concatenate(list(sample.shifted(filtered, shift)))
        np.testing.assert_allclose(few, whole[10:110], atol=0.02)


@pytest.mark.parametrize("wrong", [-1, 0, 1])
def test_a_cut_beside_the_right_one_is_corrected(
    block: NDArray[np.complex64], acquisition: Acquisition, wrong: int
) -> None:
    config = PipelineConfig().with_settings(
        ["psf.fwhm_voxels=3,3,3", "clutter.svd_range=1,120", "psf.source=analytic"]
    )
    known = combine([], acquisition, config)
    sample = CutSample.of(block, replace(tissue_cut(block), first=RANK + 1 + wrong))
    assert sample is not None
    filtered = _filtered(block, RANK + 1 + wrong)
    tried = sample.tried(filtered, known, RATE_HZ, config.localize)
    assert best_shift([tried]) == -wrong
    # Beyond the tissue there are only bubbles, which nothing could justify removing.
    assert [row.shift for row in tried] == ([-1, 0, 1] if wrong == -1 else [-1, 0])


def test_without_tissue_nothing_is_tried(block: NDArray[np.complex64]) -> None:
    assert CutSample.of(block, replace(tissue_cut(block), first=1)) is None


def test_what_is_found_is_said_and_what_is_given_is_obeyed(acquisition: Acquisition) -> None:
    found = calibrate(acquisition, PipelineConfig())
    assert found.svd_first == RANK + 1
    given = PipelineConfig().with_settings(["clutter.svd_range=3,120"])
    obeyed = calibrate(acquisition, given)
    assert obeyed.svd_first == 3
    assert [one.how for one in obeyed.findings if one.name == "first component kept"] == ["given"]


def test_a_sample_of_a_large_volume_has_fewer_frames() -> None:
    for side, n_frames in ((8, 100), (40, 100), (64, 38), (96, 30)):
        block = np.zeros((120, side, side, side), np.float32)
        vectors = np.eye(120, 3, dtype=np.float32)
        sample = CutSample.of(block, TissueCut(2, 1.0, np.ones(3), np.ones(3), vectors))
        assert sample is not None
        assert sample.frames.stop - sample.frames.start == n_frames
        assert sample.frames.start == (120 - n_frames) // 2


def test_few_points_decide_nothing() -> None:
    few = [TriedCut(-1, 140, 140.0), TriedCut(0, 300, 1.0), TriedCut(1, 10, 5.0)]
    assert best_shift([few]) == 0
    many = [
        TriedCut(k, 2 * n, 2 * p) for k, n, p in ((-1, 140, 140.0), (0, 300, 1.0), (1, 10, 5.0))
    ]
    assert best_shift([many]) == -1
    assert best_shift([]) == 0


def test_a_slight_advantage_decides_nothing() -> None:
    assert best_shift([[TriedCut(0, 1000, 800.0), TriedCut(1, 1000, 805.0)]]) == 0
    assert best_shift([[TriedCut(0, 1000, 800.0), TriedCut(1, 1000, 880.0)]]) == 1


def test_tissue_of_which_half_is_followed_is_not_let_in() -> None:
    """Many localizations are alone, so the estimated index rises although half of the new ones are alone, too."""
    measured = TriedCut(0, 1320, 300.0)
    assert 950 / 2600 > 1.5 * 300 / (950 + 1320 - 300)
    assert best_shift([[TriedCut(-1, 2600, 950.0), measured]]) == 0
    assert best_shift([[TriedCut(-1, 2100, 950.0), measured]]) == -1


def test_bubbles_are_not_removed_for_a_better_precision() -> None:
    clear = TriedCut(0, 1000, 800.0)
    assert 690 / (800 + 10) > 1.05 * 0.8
    assert best_shift([[clear, TriedCut(1, 700, 690.0)]]) == 0
    assert best_shift([[clear, TriedCut(1, 800, 745.0)]]) == 1


def test_tissue_and_ghosts_are_followed_too_but_leave_more_alone() -> None:
    tissue = [TriedCut(-1, 1325, 744.0), TriedCut(0, 763, 708.0), TriedCut(1, 733, 665.0)]
    assert best_shift([tissue]) == 0
    bubbles = [TriedCut(-1, 3950, 3529.0), TriedCut(0, 3793, 3280.0), TriedCut(1, 3666, 3162.0)]
    assert best_shift([bubbles]) == -1
    # Of another block only what was tried on both counts.
    assert best_shift([bubbles, [TriedCut(0, 100, 50.0), TriedCut(1, 100, 51.0)]]) == 0
