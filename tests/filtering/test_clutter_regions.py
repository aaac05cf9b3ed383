"""The clutter filter in regions: a partition of unity, seams, and tissue that moves differently from place to place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import calibrate
from napari_ulm3d.config import ClutterConfig, PipelineConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.filtering import clutter_filter
from napari_ulm3d.filtering.regions import regions_of
from napari_ulm3d.pipeline import run

RATE_HZ, N_FRAMES = 300.0, 60
SHAPE = (24, 8, 24)


def tissue(seed: int = 0) -> NDArray[np.complex64]:
    """Speckle whose four quarters along z and x each flicker at two frequencies of their own."""
    rng = np.random.default_rng(seed)
    time = np.arange(N_FRAMES) / RATE_HZ
    frames = np.zeros((N_FRAMES, *SHAPE), np.complex64)
    for k, (z, x) in enumerate((z, x) for z in (0, 12) for x in (0, 12)):
        for hertz in (1.0 + 2 * k, 9.0 + 2 * k):
            field = rng.standard_normal((2, 12, 8, 12)).T @ [1, 1j]
            course = np.exp(2j * np.pi * hertz * time)
            part = frames[:, z : z + 12, :, x : x + 12]
            part += 30 * course[:, None, None, None] * field.T.astype(np.complex64)
    return frames


def noise(seed: int = 1) -> NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, N_FRAMES, *SHAPE))
    return (0.1 * (parts[0] + 1j * parts[1])).astype(np.complex64)


def filtered(frames: NDArray[np.complex64], **settings: object) -> NDArray[np.complex64]:
    config = ClutterConfig().replace(**settings)
    return clutter_filter(frames.copy(), RATE_HZ, config).frames


@given(
    shape=st.tuples(*(st.integers(1, 40) for _ in range(3))),
    counts=st.tuples(*(st.integers(1, 5) for _ in range(3))),
)
def test_weights_add_up_to_one(shape: tuple[int, int, int], counts: tuple[int, int, int]) -> None:
    too_small = [n > 1 and k > 1 and n < 4 * k for n, k in zip(shape, counts, strict=True)]
    if any(too_small):
        with pytest.raises(ConfigError, match="at most"):
            regions_of(shape, counts)
        return
    total = np.zeros(shape)
    for region in regions_of(shape, counts):
        assert region.weight.min() >= 0
        total[region.where] += region.weight
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_one_region_is_the_whole_volume() -> None:
    frames = tissue() + noise()
    as_one = filtered(frames, svd_range=(6, N_FRAMES), regions=(1, 1, 1))
    whole = filtered(frames, svd_range=(6, N_FRAMES))
    np.testing.assert_allclose(as_one, whole, atol=1e-4)


def test_nothing_is_lost_if_all_components_are_kept() -> None:
    frames = tissue() + noise()
    kept = filtered(frames, svd_range=(1, N_FRAMES), regions=(2, 1, 3))
    np.testing.assert_allclose(kept, frames, atol=2e-3)


def test_tissue_of_each_place_goes_with_fewer_components() -> None:
    """Four quarters with two components each: eight of the whole, two of a region within one quarter."""
    still = noise()
    frames = tissue() + still
    few = {"svd_range": (5, N_FRAMES)}
    corner = (slice(None), slice(0, 3), slice(None), slice(0, 3))  # where one region is alone
    left = filtered(frames, **few)[corner]
    blocks = filtered(frames, **few, regions=(4, 1, 4))[corner]
    level = np.square(np.abs(still[corner])).mean()
    assert np.square(np.abs(left)).mean() > 100 * level
    assert np.square(np.abs(blocks)).mean() < 1.1 * level


def test_each_region_finds_its_own_cut_and_a_bubble_crosses_the_seam() -> None:
    frames = noise()
    frames[:, :, :, :12] += tissue()[:, :, :, :12]
    bubble = np.zeros_like(frames)
    for t in range(N_FRAMES):  # it crosses from left to right through the seams
        bubble[t, 12, 4, 2 + t // 3] = 5 * np.exp(1.9j * t)
    done = filtered(frames + bubble, regions=(1, 1, 4))
    there = np.array([abs(done[t, 12, 4, 2 + t // 3]) for t in range(N_FRAMES)])
    assert there.min() > 3.5
    # The region at the right has no tissue, so nothing is removed.
    right = (slice(None), slice(None), slice(None), slice(21, None))
    np.testing.assert_allclose(done[right], frames[right] + bubble[right], atol=1e-3)


def test_regions_outside_the_field_of_view_stay_empty() -> None:
    frames = tissue() + noise()
    frames[:, :, :, 15:] = 0
    done = filtered(frames, regions=(2, 1, 4))
    assert (done[:, :, :, 15:] == 0).all()
    corner = (slice(None), slice(0, 4), slice(None), slice(0, 3))
    assert np.square(np.abs(done[corner])).mean() < 0.01 * np.square(np.abs(frames[corner])).mean()
    assert (filtered(0 * frames, regions=(2, 1, 4)) == 0).all()


def test_a_run_filters_by_region_and_says_so() -> None:
    frames = tissue() + noise()
    z, y, x = np.indices(SHAPE)
    for t in range(N_FRAMES):
        for k in range(3):
            place = np.array([5.0 + 6 * k, 4.0, 4 + 0.25 * t])
            apart = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
            frames[t] += 4 * np.exp(-apart / 3 + 1j * (k + 2.1 * t)).astype(np.complex64)
    acquisition = Acquisition.from_array(frames, (50, 50, 50), RATE_HZ, wavelength_um=100.0)
    config = PipelineConfig().with_settings(["clutter.regions=2,1,2", "psf.fwhm_voxels=3,3,3"])
    found = calibrate(acquisition, config)
    (said,) = (one for one in found.findings if one.name == "first component kept")
    assert "region" in said.value
    result = run(acquisition, config)
    # Three bubbles in most frames, where the whole volume needs eight components.
    assert len(result.localizations) > 1.5 * N_FRAMES
    near = np.abs(result.localizations.positions_um[:, [0]] / 50 - [5, 11, 17]).min(axis=1) < 1
    assert near.mean() > 0.9
