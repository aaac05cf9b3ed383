"""Maps from tracks: brute force, manual results, and invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.maps import MapAccumulator, accumulate
from napari_ulm3d.tables import Tracks

GRID = Grid((6, 5, 7), (100.0, 100.0, 100.0), (1000.0, -200.0, 30.0))
FINE = MapConfig(resolution_factor=4.0)


def make_tracks(paths, velocities=None, times=None):
    """Tracks from a list of (n, 3) positions in um; velocities (n, 3) in mm/s."""
    parts = []
    for number, path in enumerate(paths):
        path = np.atleast_2d(np.asarray(path, float))
        n = len(path)
        v = np.zeros((n, 3)) if velocities is None else np.asarray(velocities[number], float)
        frame = np.arange(n) if times is None else np.asarray(times[number])
        parts.append(
            pd.DataFrame(
                {
                    "track_id": number, "frame": frame, "time_s": frame / 100.0,
                    "z_um": path[:, 0], "y_um": path[:, 1], "x_um": path[:, 2],
                    "vz_mm_s": v[:, 0], "vy_mm_s": v[:, 1], "vx_mm_s": v[:, 2],
                    "speed_mm_s": np.linalg.norm(v, axis=1), "score": 1.0,
                }
            )
        )  # fmt: skip
    return Tracks(pd.concat(parts, ignore_index=True)) if parts else Tracks.empty()


def random_tracks(rng, n_tracks=30, n_rows=8, step_um=60.0, spread=1.2):
    paths, velocities = [], []
    extent = np.asarray(GRID.extent_um)
    for _ in range(n_tracks):
        start = np.asarray(GRID.origin_um) + (rng.random(3) * spread - (spread - 1) / 2) * extent
        paths.append(start + np.cumsum(rng.normal(0, step_um, (n_rows, 3)), axis=0))
        velocities.append(rng.normal(0, 10, (n_rows, 3)))
    return make_tracks(paths, velocities)


def sampled_density(tracks, grid, per_voxel=2000):
    """Brute force: sample every segment densely; a track counts once per voxel."""
    out = np.zeros(grid.shape)
    for _, rows in tracks.table.groupby("track_id"):
        path = rows[["z_um", "y_um", "x_um"]].to_numpy()
        reached = set()
        samples = [path]
        for a, b in itertools.pairwise(path):
            n = int(np.abs((b - a) / grid.spacing_um).max() * per_voxel) + 2
            samples.append(a + np.linspace(0, 1, n)[:, None] * (b - a))
        points = np.concatenate(samples)
        inside = points[grid.contains(points)]
        for voxel in np.unique(np.floor(grid.to_index(inside) + 0.5).astype(int), axis=0):
            reached.add(tuple(voxel))
        for voxel in reached:
            out[voxel] += 1
    return out


def test_density_equals_dense_sampling_of_the_lines():
    tracks = random_tracks(np.random.default_rng(1), n_tracks=12)
    density = accumulate(tracks, GRID, FINE)["density"]
    expected = sampled_density(tracks, density.grid)
    found = density.dense()
    # Sampling only misses voxels of which a corner shorter than one step is crossed.
    assert (found >= expected).all()
    assert (found - expected).sum() <= 0.005 * expected.sum()


def test_speed_and_axial_velocity_are_means_over_tracks_of_the_arc_mean_in_the_voxel():
    # One coarse voxel row along x, factor 1: voxels are 100 um, borders at 0, 100, 200.
    grid = Grid((2, 2, 3), (100.0, 100.0, 100.0), (50.0, 50.0, 50.0))
    config = MapConfig(resolution_factor=1.0)
    # First track: from x 20 to x 180 at z = y = 50; speed rises from 2 to 10 mm/s.
    first = [[50, 50, 20], [50, 50, 180]]
    v_first = [[2, 0, 0], [10, 0, 0]]
    # Second track: still inside voxel 0, coming up at 4 mm/s.
    second = [[50, 50, 30], [50, 50, 60]]
    v_second = [[-4, 0, 0], [-4, 0, 0]]
    maps = accumulate(make_tracks([first, second], [v_first, v_second]), grid, config)
    assert maps["density"].dense()[0, 0].tolist() == [2, 1, 0]
    # Over 20..100 the first track's mean is 4, over 100..180 it is 8.
    assert maps["speed"].dense()[0, 0].tolist() == pytest.approx([(4 + 4) / 2, 8, 0])
    assert maps["velocity_z"].dense()[0, 0].tolist() == pytest.approx([(4 - 4) / 2, 8, 0])
    assert maps["direction"].dense()[0, 0].tolist() == [0, 1, 0]
    assert maps["speed"].unit == "mm/s"
    assert maps["density"].unit == "tracks"
    assert [maps[k].signed for k in ("density", "speed", "velocity_z", "direction")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_track_that_returns_counts_once_and_is_averaged_over_all_its_visits():
    grid = Grid((2, 2, 2), (100.0,) * 3, (50.0,) * 3)
    path = [[50, 50, 50], [50, 50, 150], [50, 50, 50]]
    velocity = [[0, 0, 1], [0, 0, 1], [0, 0, 3]]
    maps = accumulate(make_tracks([path], [velocity]), grid, MapConfig(resolution_factor=1.0))
    assert maps["density"].dense()[0, 0].tolist() == [1, 1]
    # Voxel 0: 50 um at 1, then 50 um from 2 to 3 (mean 2.5); voxel 1: 50 at 1, 50 from 1 to 2.
    assert maps["speed"].dense()[0, 0].tolist() == pytest.approx([1.75, 1.25])


def test_a_bubble_that_stands_still_and_a_single_row_count():
    grid = Grid((1, 1, 4), (10.0,) * 3)
    still = [[0, 0, 10]] * 3
    maps = accumulate(
        make_tracks([still, [[0, 0, 30]]], [[[3, 0, 4]] * 3, [[0, 0, 2]]]),
        grid,
        MapConfig(resolution_factor=1.0),
    )
    assert maps["density"].dense().ravel().tolist() == [0, 1, 0, 1]
    assert maps["speed"].dense().ravel().tolist() == pytest.approx([0, 5, 0, 2])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), step=st.sampled_from([1.0, 30.0, 300.0, 5000.0]))
def test_every_line_inside_is_one_connected_path(seed, step):
    rng = np.random.default_rng(seed)
    inside = np.asarray(GRID.origin_um) + rng.random((5, 3)) * (np.asarray(GRID.extent_um) - 101)
    path = inside
    if step <= 1000:
        walk = inside[:1] + np.cumsum(rng.normal(0, step, (5, 3)), axis=0)
        path = np.clip(walk, inside.min(0), inside.max(0))
    dense = accumulate(make_tracks([path]), GRID, FINE)["density"].dense()
    _, pieces = ndimage.label(dense)  # face-connected: stricter than no 26-connected gap
    assert pieces == 1
    assert dense.max() == 1
    ends = np.floor(GRID.isotropic(4.0).to_index(path) + 0.5).astype(int)
    assert all(dense[tuple(e)] == 1 for e in ends)


@settings(max_examples=60, deadline=None)
@given(
    corners=st.lists(st.tuples(*[st.integers(-3, 28) for _ in range(3)]), min_size=1, max_size=6)
)
def test_lines_through_edges_and_corners_neither_hang_nor_leave_the_grid(corners):
    # Whole multiples of the fine voxel's edge lie on faces, edges and corners of voxels.
    fine = GRID.isotropic(4.0)
    path = np.asarray(fine.origin_um) - 12.5 + 25.0 * np.asarray(corners, float)
    density = accumulate(make_tracks([path]), GRID, FINE)["density"]
    assert set(density.values.tolist()) <= {1.0}
    points = np.floor(fine.to_index(path) + 0.5 + 1e-9).astype(int)
    dense = density.dense()
    for point, position in zip(points, path, strict=True):
        if fine.contains(position):
            assert dense[tuple(point)] == 1


def test_far_and_outside_positions_are_left_out():
    grid = Grid((3, 3, 3), (100.0,) * 3)
    through = [[100, 100, -1e12], [100, 100, 1e12]]
    beside = [[100, 350, -1e6], [100, 350, 1e6]]
    along_far_border = [[100, 250, 0], [100, 250, 200]]  # y = 250 is the first position outside
    away = [[1e5, 1e5, 1e5], [2e5, 2e5, 2e5]]
    maps = accumulate(
        make_tracks([through, beside, along_far_border, away]),
        grid,
        MapConfig(resolution_factor=1.0),
    )
    expected = np.zeros((3, 3, 3))
    expected[1, 1, :] = 1
    assert np.array_equal(maps["density"].dense(), expected)


def test_maps_do_not_depend_on_how_the_tracks_are_split_or_ordered():
    tracks = random_tracks(np.random.default_rng(2), n_tracks=60)
    whole = accumulate(tracks, GRID, FINE)
    pieces = MapAccumulator(GRID, FINE)
    table = tracks.table
    for chosen in ([7], range(30, 60), range(7), range(8, 30)):
        pieces.add(Tracks(table[table["track_id"].isin(list(chosen))]))
    for name, expected in whole.items():
        found = pieces.maps()[name]
        assert np.array_equal(found.index, expected.index)
        assert found.values.tobytes() == expected.values.tobytes()


def test_rows_out_of_order_are_sorted():
    tracks = random_tracks(np.random.default_rng(3))
    shuffled = Tracks(tracks.table.sample(frac=1.0, random_state=0))
    expected = accumulate(tracks, GRID, FINE)
    for name, found in accumulate(shuffled, GRID, FINE).items():
        assert found.values.tobytes() == expected[name].values.tobytes()


def test_halves_add_up_to_the_density_and_take_turns():
    tracks = random_tracks(np.random.default_rng(4), n_tracks=21)
    accumulator = MapAccumulator(GRID, FINE)
    table = tracks.table
    for low in range(0, 21, 4):
        accumulator.add(Tracks(table[table["track_id"].between(low, low + 3)]))
    even, odd = accumulator.halves()
    assert np.array_equal(even.dense() + odd.dense(), accumulator.maps()["density"].dense())
    only_even = accumulate(Tracks(table[table["track_id"] % 2 == 0]), GRID, FINE)["density"]
    assert np.array_equal(even.dense(), only_even.dense())


def test_halves_are_not_kept_without_fsc():
    with pytest.raises(ConfigError, match="fsc"):
        MapAccumulator(GRID, FINE.replace(fsc=False)).halves()


def test_two_dimensional_acquisition():
    grid = Grid((8, 1, 9), (100.0, 400.0, 50.0))
    maps = accumulate(
        make_tracks([[[0, 0, 0], [700, 0, 400]]]), grid, MapConfig(resolution_factor=5.0)
    )
    assert maps["density"].shape == (80, 1, 45)
    assert ndimage.label(maps["density"].dense()[:, 0])[1] == 1


def test_no_tracks_give_empty_maps():
    maps = accumulate(Tracks.empty(), GRID, FINE)
    assert set(maps) == {"density", "speed", "velocity_z", "direction", "density_se", "speed_se"}
    assert all(m.index.size == 0 for m in maps.values())


def test_tables_longer_than_one_portion_and_growth_of_the_voxel_table(monkeypatch):
    tracks = random_tracks(np.random.default_rng(5), n_tracks=300, step_um=200.0)
    expected = accumulate(tracks, GRID, MapConfig(resolution_factor=20.0))
    monkeypatch.setattr("napari_ulm3d.maps.accumulator._ROWS_AT_ONCE", 5)
    found = accumulate(tracks, GRID, MapConfig(resolution_factor=20.0))
    assert expected["density"].index.size > 20_000
    assert np.array_equal(found["density"].dense(), expected["density"].dense())


@pytest.mark.parametrize("column", ["z_um", "vz_mm_s", "time_s"])
def test_values_that_are_not_finite_are_named(column):
    table = random_tracks(np.random.default_rng(6)).table.copy()
    table.loc[3, column] = np.nan
    with pytest.raises(ResultsError, match=column):
        accumulate(Tracks(table), GRID, FINE)
