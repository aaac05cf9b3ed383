"""Voxels without data count neither as noise nor as signal."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.filtering import clutter_filter, valid_voxels
from napari_ulm3d.filtering.psf_estimate import isolated_maxima
from napari_ulm3d.networks.bubblenet_input import noise_level

SHAPE = (40, 12, 12, 12)


@pytest.fixture(params=[0.0, 0.7], ids=["zero", "constant"])
def masked(request) -> tuple[np.ndarray, np.ndarray]:
    """Noise with RMS 1, with a constant in more than half of the voxels; also the noise mask."""
    rng = np.random.default_rng(2)
    frames = ((rng.normal(size=(*SHAPE, 2)) @ [1, 1j]) / np.sqrt(2)).astype(np.complex64)
    valid = np.zeros(SHAPE[1:], bool)
    valid[:, 2:10, 3:9] = True
    assert valid.mean() < 0.4
    frames[:, ~valid] = request.param
    return frames, valid


def test_voxels_that_never_change_have_no_data(masked) -> None:
    frames, valid = masked
    assert np.array_equal(valid_voxels(frames), valid)
    frames[-1, 0, 0, 0] = 5.0  # changes in the last frame alone
    assert valid_voxels(frames)[0, 0, 0]
    assert valid_voxels(frames[:1]).sum() >= valid.sum()


def test_the_noise_level_is_that_of_the_voxels_with_data(masked) -> None:
    frames, valid = masked
    filtered = clutter_filter(frames.copy(), 500.0, ClutterConfig(svd_range=(2, 40)))
    assert filtered.valid is not None
    assert np.array_equal(filtered.valid, valid)
    assert noise_level(filtered.frames, filtered.valid) == pytest.approx(1.0, rel=0.06)


def test_noise_beside_a_mask_is_not_a_bubble(masked) -> None:
    frames, valid = masked
    assert len(isolated_maxima(frames, (3, 3, 3), valid=valid)) == 0
    frames[7, 6, 6, 6] = 40.0
    assert isolated_maxima(frames, (3, 3, 3), valid=valid).tolist() == [[7, 6, 6, 6]]


def test_a_volume_without_data_has_no_noise() -> None:
    empty = np.zeros((3, 4, 4, 4), np.complex64)
    assert noise_level(empty) == 0.0
    assert len(isolated_maxima(empty, (3, 3, 3))) == 0
