"""Thinning to the working grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.calibrate.working_grid import WorkingGrid, thinning_for

FWHM = np.sqrt(8 * np.log(2))


@given(
    width=st.tuples(*[st.floats(0.5, 30)] * 3),
    shape=st.tuples(*[st.integers(1, 90)] * 3),
)
def test_at_least_two_voxels_a_width_are_left_and_fewer_than_four(
    width: tuple[float, float, float], shape: tuple[int, int, int]
) -> None:
    thinning = thinning_for(width, shape)
    for w, n, k in zip(width, shape, thinning, strict=True):
        assert k == 1 or w / k >= 2 - 1e-5
        assert n == 1 or k == n or w / k < 4 or (k == 1 and w < 4)
        assert k <= n


def test_almost_twice_as_fine_is_thinned() -> None:
    def factors(width: float, tolerance: float) -> tuple[int, int, int]:
        return thinning_for((width, width, 3.0), (40, 1, 40), 2.0, tolerance)

    assert factors(3.7, 0.0) == (1, 1, 1)
    assert factors(3.7, 0.1) == (2, 1, 1)
    assert factors(3.5, 0.1) == (1, 1, 1)
    assert factors(5.9, 0.1) == (2, 1, 1)  # 2.95 voxels per width are few enough


@given(
    shape=st.tuples(*[st.integers(1, 60)] * 3),
    thinning=st.tuples(*[st.integers(1, 8)] * 3),
    spacing=st.tuples(*[st.floats(1, 200)] * 3),
)
def test_the_coarse_grid_is_centred_within_the_full_one(
    shape: tuple[int, int, int],
    thinning: tuple[int, int, int],
    spacing: tuple[float, float, float],
) -> None:
    full = Grid(shape, spacing, (5.0, -3.0, 0.0))
    grid = WorkingGrid(full, thinning).grid
    first, last = full.to_um((0, 0, 0)), full.to_um(np.array(shape) - 1)
    start, stop = grid.to_um((0, 0, 0)), grid.to_um(np.array(grid.shape) - 1)
    assert (start >= first - 1e-6).all()
    assert (stop <= last + 1e-6).all()
    assert start - first == pytest.approx(last - stop, abs=1e-6)
    assert (np.array(grid.extent_um) >= np.array(full.extent_um) * (1 - 1e-9)).all()


@settings(max_examples=25, deadline=None)
@given(
    place=st.tuples(*[st.floats(14, 22)] * 3),
    carrier=st.floats(-3.1, 3.1),
    thinning=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)
def test_a_bubble_keeps_place_height_and_phase(
    place: tuple[float, float, float], carrier: float, thinning: tuple[int, int, int]
) -> None:
    """The thinned image is the continuous one at the coarse voxels' centres."""
    full = Grid((36, 36, 36), (10.0, 20.0, 30.0))
    width = [2.2 * k if k > 1 else 3.0 for k in thinning]

    def image(index: np.ndarray) -> np.ndarray:
        offset = index - place
        magnitude = np.exp(-0.5 * ((offset / np.array(width) * FWHM) ** 2).sum(-1))
        return magnitude * np.exp(1j * (carrier * offset[..., 0] + 0.4))

    index = np.moveaxis(np.indices(full.shape), 0, -1)
    working = WorkingGrid(full, thinning, carrier)
    coarse = working.frames(image(index)[None].astype(np.complex64))[0]
    at = full.to_index(working.grid.to_um(np.moveaxis(np.indices(working.grid.shape), 0, -1)))
    assert coarse.shape == working.grid.shape
    assert np.abs(coarse - image(at)).max() < 0.06


def test_noise_outside_of_the_band_is_taken_out_and_none_is_folded_in() -> None:
    rng = np.random.default_rng(0)
    full = Grid((48, 40, 40), (10, 10, 10))
    parts = rng.standard_normal((2, 6, *full.shape))
    frames = (parts[0] + 1j * parts[1]).astype(np.complex64)
    coarse = WorkingGrid(full, (2, 4, 4), 1.0).frames(frames)
    gain = (np.abs(coarse) ** 2).mean() / (np.abs(frames) ** 2).mean()
    assert 0.5 / 32 < gain < 1.1 / 32, "as many voxels less, as much power less"


def test_real_frames_stay_real_and_a_constant_stays_itself() -> None:
    full = Grid((21, 1, 30), (10, 10, 10))
    frames = np.full((2, *full.shape), 7.0, np.float32)
    coarse = WorkingGrid(full, (3, 1, 4), 0.8).frames(frames)
    assert coarse.dtype == np.float32
    assert coarse == pytest.approx(7.0)


def test_nothing_is_copied_where_nothing_is_thinned() -> None:
    frames = np.zeros((1, 4, 4, 4), np.complex64)
    working = WorkingGrid(Grid((4, 4, 4), (1, 1, 1)))
    assert working.frames(frames) is frames
    assert working.grid == working.full


def test_valid_voxels_of_the_coarse_grid() -> None:
    full = Grid((24, 24, 24), (1, 1, 1))
    valid = np.zeros(full.shape, bool)
    valid[:, :12] = True
    working = WorkingGrid(full, (2, 3, 4))
    coarse = working.valid(valid)
    assert coarse is not None
    index = full.to_index(working.grid.to_um(np.moveaxis(np.indices(working.grid.shape), 0, -1)))
    expected = map_coordinates(valid.astype(float), np.moveaxis(index, -1, 0), order=1) >= 0.5
    assert (coarse == expected).all()
