"""Detection against scipy's maximum filter and uniform filter, and cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_ulm3d.localize.detect import detect_maxima, patch_mean

PATCH = (7, 7, 7)
SHAPES = [(12, 11, 10), (17, 1, 21), (3, 4, 5), (1, 1, 30)]


def found(image: NDArray[np.float32], snr_db: float = -100.0, cap: int = 10_000) -> set[tuple]:
    candidates, _ = detect_maxima(image[None], PATCH, snr_db, cap)
    return {tuple(voxel) for voxel in candidates.voxel.tolist()}


def mean_by_scipy(image: NDArray[np.float32], patch: tuple[int, int, int]) -> NDArray[np.float64]:
    total = ndimage.uniform_filter(image.astype(float), patch, mode="constant")
    return total / ndimage.uniform_filter(np.ones(image.shape), patch, mode="constant")


@pytest.mark.parametrize("shape", SHAPES)
def test_maxima_are_those_of_the_maximum_filter(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).random(shape, np.float32)
    largest = ndimage.maximum_filter(image, size=3, mode="constant", cval=-1)
    assert found(image) == {tuple(v) for v in np.argwhere(largest == image).tolist()}


@pytest.mark.parametrize("patch", [(7, 7, 7), (5, 3, 9), (1, 1, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_local_mean_is_that_of_a_uniform_filter(
    shape: tuple[int, int, int], patch: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(2).random(shape, np.float32)
    mean = patch_mean(image, np.asarray(patch) // 2)
    np.testing.assert_allclose(mean, mean_by_scipy(image, patch), rtol=1e-5)


def test_contrast_is_the_peak_over_the_mean_of_its_patch() -> None:
    image = np.random.default_rng(3).random((20, 18, 16), np.float32) ** 4
    candidates, _ = detect_maxima(image[None], PATCH, 9.0, 900)
    at = tuple(candidates.voxel.T)
    expected = image[at] / mean_by_scipy(image, PATCH)[at]
    np.testing.assert_allclose(candidates.contrast, expected, rtol=1e-4)
    assert len(candidates) > 5
    assert (20 * np.log10(candidates.contrast) >= 9.0 - 1e-4).all()
    largest = ndimage.maximum_filter(image, size=3, mode="constant")
    level = 20 * np.log10(image / mean_by_scipy(image, PATCH))
    assert len(candidates) == ((largest == image) & (level >= 9.0)).sum()


def test_a_plateau_counts_once_at_its_middle() -> None:
    image = np.ones((9, 9, 9), np.float32)
    image[3:6, 4, 2:7] = 5.0
    assert found(image) == {(4, 4, 4)}


def test_of_a_plateau_of_two_the_first_voxel_counts() -> None:
    image = np.ones((9, 9, 9), np.float32)
    image[4, 4, 4] = image[4, 4, 5] = 5.0
    assert found(image) == {(4, 4, 4)}


def test_a_plateau_beside_something_higher_is_no_maximum() -> None:
    image = np.ones((9, 9, 9), np.float32)
    image[4, 4, 2:5] = 5.0
    image[4, 4, 5] = 6.0
    assert found(image) == {(4, 4, 5)}


def test_plateaus_of_many_shapes_are_regional_maxima_by_labelling() -> None:
    rng = np.random.default_rng(4)
    image = rng.integers(1, 4, (10, 9, 8)).astype(np.float32)
    expected = 0
    for value in (1, 2, 3):
        labels, n = ndimage.label(image == value, np.ones((3, 3, 3)))
        around = ndimage.maximum_filter(image, size=3, mode="constant")
        below = ndimage.minimum_filter(image, size=3, mode="nearest")
        for label in range(1, n + 1):
            inside = labels == label
            expected += around[inside].max() == value and below[inside].min() < value
    assert len(found(image)) == expected


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_frame_has_no_maximum(value: float) -> None:
    assert not found(np.full((8, 8, 8), value, np.float32))


def test_maxima_at_the_border_and_in_the_corner_count() -> None:
    image = np.full((9, 9, 9), 0.1, np.float32)
    image[0, 0, 0] = image[8, 4, 4] = 2.0
    assert found(image, 9.0) == {(0, 0, 0), (8, 4, 4)}


def test_the_cap_keeps_the_strongest_of_each_frame_and_counts_the_rest() -> None:
    image = np.full((2, 9, 9, 9), 0.1, np.float32)
    for frame in range(2):
        for k, at in enumerate([(1, 1, 1), (1, 7, 7), (7, 1, 7), (7, 7, 1)]):
            image[frame, *at] = 2.0 + (k + frame) % 4
    candidates, over = detect_maxima(image, PATCH, 9.0, 3)
    assert over == 2
    assert candidates.frame.tolist() == [0, 0, 0, 1, 1, 1]
    assert candidates.peak.tolist() == [5.0, 4.0, 3.0] * 2


def test_no_frames_no_maxima() -> None:
    candidates, over = detect_maxima(np.empty((0, 5, 5, 5), np.float32), PATCH, 9.0, 9)
    assert len(candidates) == over == 0
