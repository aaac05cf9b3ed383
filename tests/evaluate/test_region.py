"""Measurements in a region: tracks that cross it, their speed, and how it is filled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import Region, region_numbers, tracks_crossing
from napari_ulm3d.maps import accumulate
from napari_ulm3d.tables import Tracks

GRID = Grid((20, 20, 20), (50.0, 50.0, 50.0))


def tracks(*lines: list[tuple[float, float, float]], speed: tuple[float, ...] = ()) -> Tracks:
    rows = [
        (k, frame, frame / 100, *point, (speed or [1.0] * 99)[k])
        for k, line in enumerate(lines)
        for frame, point in enumerate(line)
    ]
    names = ["track_id", "frame", "time_s", "z_um", "y_um", "x_um", "speed_mm_s"]
    table = pd.DataFrame(rows, columns=names)
    return Tracks(table.assign(vz_mm_s=table["speed_mm_s"] / 2, vy_mm_s=0, vx_mm_s=0, score=1))


BOX = Region.box(1, (100, 100), (200, 300), (400, 500))  # z, then x; and y


def test_points_and_lines_within_a_box() -> None:
    found = tracks(
        [(150, 450, 90), (150, 450, 150), (150, 450, 200)],  # comes in
        [(150, 450, 50), (150, 450, 350)],  # passes between its two points
        [(150, 600, 150), (150, 700, 150)],  # beside it in y
        [(150, 300, 150), (150, 600, 150)],  # through it along y
        [(90, 450, 50), (90, 450, 350)],  # above it
        [(100, 450, 320), (100, 450, 400)],  # in line with an edge, but beyond
        speed=(4.0, 7.0, 1.0, 1.0, 1.0, 1.0),
    )
    numbers = region_numbers(found, BOX, None)
    assert (numbers.n_tracks, numbers.n_points) == (3, 2)
    assert numbers.mean_speed_mm_s == pytest.approx(4.0)
    assert numbers.mean_velocity_z_mm_s == pytest.approx(2.0)
    assert numbers.area_um2 == pytest.approx(20_000)
    assert np.isnan(numbers.tracks_a_voxel)


def test_which_tracks_cross() -> None:
    within = [(150.0, 450.0, 200.0), (150.0, 450.0, 210.0)]
    away = [(150.0, 700.0, 200.0), (150.0, 700.0, 210.0)]
    through = [(50.0, 450.0, 200.0), (250.0, 450.0, 200.0)]
    assert tracks_crossing(tracks(within, away, through), BOX).tolist() == [0, 2]
    assert tracks_crossing(Tracks.empty(), BOX).size == 0


def test_a_gap_between_tracks_is_no_line() -> None:
    found = tracks([(150, 450, 50), (150, 450, 60)], [(150, 450, 340), (150, 450, 350)])
    assert region_numbers(found, BOX, None).n_tracks == 0


def test_density_is_the_maps() -> None:
    rng = np.random.default_rng(2)
    lines = [list(map(tuple, rng.uniform(100, 900, (12, 3)))) for _ in range(30)]
    found = tracks(*lines)
    density = accumulate(found, GRID, MapConfig(resolution_factor=2.0))["density"]
    axes = [
        density.grid.origin_um[k] + density.grid.spacing_um[k] * np.arange(40) for k in range(3)
    ]
    inside = [
        (a >= low) & (a <= high)
        for a, (low, high) in zip(axes, [(100, 200), (400, 500), (100, 300)], strict=True)
    ]
    part = density.dense()[np.ix_(*inside)]
    numbers = region_numbers(found, BOX, density)
    assert numbers.tracks_a_voxel == pytest.approx(part.mean(), rel=1e-6)
    assert numbers.filled == pytest.approx((part > 0).mean())
    whole = Region.box(0, (-100, -100), (2000, 2000), (-np.inf, np.inf))
    assert region_numbers(found, whole, density).n_tracks == 30


@given(seed=st.integers(0, 10_000), n=st.integers(3, 9), axis=st.integers(0, 2))
def test_any_polygon_against_matplotlib_and_fine_steps(seed: int, n: int, axis: int) -> None:
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.uniform(0, 2 * np.pi, n))
    if np.ptp(turn) < 0.5:
        return
    corners = 500 + rng.uniform(100, 400, (n, 1)) * np.stack([np.cos(turn), np.sin(turn)], -1)
    region = Region(axis, corners, (300.0, 600.0))
    start, stop = rng.uniform(0, 1000, (2, 200, 3))
    share = np.linspace(0, 1, 801)[:, None, None]
    points = (start + share * (stop - start)).reshape(-1, 3)
    flat = points[:, [k for k in range(3) if k != axis]]
    inside = Polygon(np.vstack([corners, corners[:1]]), closed=True).contains_points(flat)
    inside &= (points[:, axis] >= 300) & (points[:, axis] <= 600)
    np.testing.assert_array_equal(region.contains(points), inside)
    stepped = inside.reshape(801, 200).any(axis=0)
    met = region.crossed(start, stop)
    assert not (stepped & ~met).any()  # everything found by stepping is found
    # And nothing else: a corner may be crossed between two steps, but not between finer ones.
    cut = np.flatnonzero(met & ~stepped)
    share = np.linspace(0, 1, 100_001)[:, None]
    seen = 0
    for k in cut:
        points = start[k] + share * (stop[k] - start[k])
        flat = points[:, [a for a in range(3) if a != axis]]
        inside = Polygon(np.vstack([corners, corners[:1]]), closed=True).contains_points(flat)
        seen += bool((inside & (points[:, axis] >= 300) & (points[:, axis] <= 600)).any())
    assert len(cut) - seen <= 1


def test_two_dimensional_data() -> None:
    flat = Grid((20, 1, 20), (50.0, 400.0, 50.0))
    found = tracks([(150, 0, 50), (150, 0, 350)], [(500, 0, 50), (500, 0, 350)])
    density = accumulate(found, flat, MapConfig(resolution_factor=1.0))["density"]
    numbers = region_numbers(
        found, Region.box(1, (100, 100), (200, 300), (-np.inf, np.inf)), density
    )
    assert numbers.n_tracks == 1
    assert numbers.filled == pytest.approx(0.5)  # one of the two rows 100 to 200


def test_empty_and_impossible() -> None:
    numbers = region_numbers(Tracks.empty(), BOX, None)
    assert (numbers.n_tracks, numbers.n_points) == (0, 0)
    assert dict(numbers.rows())["mean speed"] == "none within"
    with pytest.raises(ConfigError, match="no area"):
        Region(1, np.array([[0, 0], [1, 1], [2, 2]]))
    with pytest.raises(ConfigError, match="three corners"):
        Region(1, np.array([[0, 0], [1, 1]]))
    with pytest.raises(ConfigError, match="axis"):
        Region.box(3, (0, 0), (1, 1), (0, 1))
