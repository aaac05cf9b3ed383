"""Smoothing: scipy's Gaussian near tracks, and means that are not reduced at borders."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps import smooth_counts, smooth_maps, smooth_means, smoothing
from napari_ulm3d.volumes import VesselMap

GRID = Grid((30, 24, 26), (10.0, 10.0, 10.0), (5.0, 5.0, 5.0))


def counts_of(grid: Grid = GRID, seed: int = 0) -> VesselMap:
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.02, grid.shape).astype(np.float32)
    return VesselMap.from_dense("density", dense, grid, "tracks")


def test_counts_are_scipys_gaussian_near_tracks() -> None:
    counts = counts_of()
    found = smooth_counts(counts, 15.0)
    expected = gaussian_filter(counts.dense(), 1.5, mode="constant", truncate=3.0)
    dense = found.dense()
    held = dense > 0
    np.testing.assert_allclose(dense[held], expected[held], rtol=1e-5)
    border = np.exp(-2) / (2 * np.pi * 1.5**2)  # of a single line, two sigma away
    assert expected[~held].max() <= border * 1.0001
    assert (found.name, found.grid, found.unit) == ("density", GRID, "tracks")


def test_nothing_of_a_line_is_lost_but_its_faint_border() -> None:
    dense = np.zeros(GRID.shape, np.float32)
    dense[15, 12, :] = 3.0
    found = smooth_counts(VesselMap.from_dense("density", dense, GRID), 20.0).dense()
    profile = found[:, 12, 13]
    np.testing.assert_array_equal(np.flatnonzero(profile), np.arange(11, 20))  # 2 sigma
    assert found.sum() == pytest.approx(dense.sum(), rel=0.12)


def test_means_are_those_of_the_tracks_and_not_of_empty_voxels() -> None:
    counts = counts_of()
    speed = VesselMap("speed", GRID, counts.index, np.full(len(counts.index), 7.5, np.float32))
    found = smooth_means(speed, counts, 15.0)
    np.testing.assert_allclose(found.values, 7.5, rtol=1e-5)
    rng = np.random.default_rng(1)
    speed = VesselMap(
        "speed", GRID, counts.index, rng.uniform(1, 9, len(counts.index)).astype(np.float32)
    )
    dense = smooth_means(speed, counts, 15.0).dense()
    both = [
        gaussian_filter(part, 1.5, mode="constant", truncate=3.0)
        for part in (speed.dense() * counts.dense(), counts.dense())
    ]
    held = dense > 0
    np.testing.assert_allclose(dense[held], both[0][held] / both[1][held], rtol=1e-4)
    assert dense[held].min() >= 1
    assert dense.max() <= 9.001


def test_a_mean_of_zero_is_a_mean() -> None:
    """The speed map is empty for stationary bubbles, but they count."""
    counts = VesselMap.from_dense("density", np.ones((1, 1, 9), np.float32), Grid((1, 1, 9), (10, 10, 10)))  # fmt: skip
    speed = VesselMap("speed", counts.grid, np.array([4]), np.array([9.0], np.float32))
    found = smooth_means(speed, counts, 10.0).dense()[0, 0]
    assert 0 < found[4] < 9


def test_opposite_directions_cancel_where_they_meet() -> None:
    dense = np.zeros(GRID.shape, np.float32)
    dense[10, 10, :], dense[10, 11, :] = 2.0, -2.0
    direction = VesselMap.from_dense("direction", dense, GRID, "tracks", signed=True)
    found = smooth_counts(direction, 10.0)
    assert found.signed
    volume = found.dense()
    np.testing.assert_allclose(volume[:, 10], -volume[:, 11], atol=1e-6)
    assert volume[10, 9, 13] > 0 > volume[10, 12, 13]


def test_however_it_is_cut_the_numbers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = counts_of()
    whole = smooth_counts(counts, 12.0)
    monkeypatch.setattr(smoothing, "_VOXELS_AT_ONCE", 3 * 24 * 26)
    parts = smooth_counts(counts, 12.0)
    np.testing.assert_array_equal(whole.index, parts.index)
    np.testing.assert_array_equal(whole.values, parts.values)


def test_a_plane_stays_a_plane() -> None:
    grid = Grid((20, 1, 30), (10.0, 400.0, 10.0))
    counts = counts_of(grid)
    found = smooth_counts(counts, 20.0)
    expected = gaussian_filter(counts.dense(), (2, 0, 2), mode="constant", truncate=3.0)
    held = found.dense() > 0
    np.testing.assert_allclose(found.dense()[held], expected[held], rtol=1e-5)


def test_zero_changes_nothing_and_others_are_left_alone() -> None:
    counts = counts_of()
    maps = {"density": counts, "power_doppler": counts}
    assert smooth_maps(maps, 0.0)["density"] is counts
    assert smooth_maps(maps, 20.0)["power_doppler"] is counts
    empty = VesselMap("density", GRID, np.empty(0, np.int64), np.empty(0, np.float32))
    assert len(smooth_counts(empty, 20.0).index) == 0
    with pytest.raises(ConfigError):
        MapConfig().replace(smoothing_um=-1.0)
