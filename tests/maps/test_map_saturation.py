"""The saturation curve compared with manual results and with counting at every time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.maps import MapAccumulator, saturation, saturation_curve
from napari_ulm3d.tables import Tracks

GRID = Grid((1, 1, 10), (10.0, 10.0, 10.0))
ONE = MapConfig(resolution_factor=1.0)


def tracks_of(rows):
    """Rows of (track, frame, x in um) at 10 frames per second."""
    track, frame, x = np.asarray(rows, float).T
    zero = np.zeros(len(rows))
    return Tracks(
        pd.DataFrame(
            {
                "track_id": track.astype(int), "frame": frame.astype(int), "time_s": frame / 10,
                "z_um": zero, "y_um": zero, "x_um": x, "vz_mm_s": zero, "vy_mm_s": zero,
                "vx_mm_s": zero, "speed_mm_s": zero, "score": zero,
            }
        )
    )  # fmt: skip


def test_by_hand():
    # Track 0 reaches voxels 0, 1, 2 from 0.0 to 0.2 s, track 1 voxels 2 (again), 3 at 0.8, 0.9 s.
    tracks = tracks_of([(0, 0, 0), (0, 1, 10), (0, 2, 20), (1, 8, 20), (1, 9, 30)])
    curve = saturation(tracks, GRID, ONE, n_points=10)
    assert list(curve.columns) == ["time_s", "voxels_reached", "share_of_grid", "share_of_final"]
    assert curve["time_s"].tolist() == pytest.approx(np.arange(10) / 10)
    assert curve["voxels_reached"].tolist() == [1, 2, 3, 3, 3, 3, 3, 3, 3, 4]
    assert curve["share_of_grid"].tolist() == pytest.approx(curve["voxels_reached"] / 10)
    assert curve["share_of_final"].iloc[-1] == 1.0


def test_first_arrival_does_not_depend_on_the_order_of_adding():
    late, early = tracks_of([(1, 5, 20), (1, 6, 50)]), tracks_of([(0, 0, 10), (0, 3, 40)])
    one, other = MapAccumulator(GRID, ONE), MapAccumulator(GRID, ONE)
    for part in (late, early):
        one.add(part)
    for part in (early, late):
        other.add(part)
    pd.testing.assert_frame_equal(saturation_curve(one), saturation_curve(other))


def test_equals_the_maps_of_the_tracks_up_to_each_time():
    rng = np.random.default_rng(0)
    rows = []
    for track in range(40):
        start, x = int(rng.integers(0, 90)), rng.uniform(-20, 110)
        rows += [(track, start + k, x + rng.uniform(5, 15) * k) for k in range(5)]
    tracks = tracks_of(rows)
    curve = saturation(tracks, GRID, ONE, n_points=50)
    assert (np.diff(curve["voxels_reached"]) >= 0).all()
    for time_s, reached in zip(curve["time_s"], curve["voxels_reached"], strict=True):
        before = Tracks(tracks.table[tracks.table["time_s"] <= time_s + 1e-9])
        accumulator = MapAccumulator(GRID, ONE)
        accumulator.add(before)
        # A segment in progress at that time may have reached voxels beyond its last row.
        assert accumulator.n_voxels <= reached
        later = MapAccumulator(GRID, ONE)
        later.add(Tracks(tracks.table[tracks.table["time_s"] <= time_s + 0.1 + 1e-9]))
        assert reached <= later.n_voxels


def test_without_tracks_it_is_zero_over_the_given_time():
    curve = saturation(Tracks.empty(), GRID, ONE, n_points=3, duration_s=2.0)
    assert curve["time_s"].tolist() == [0, 1, 2]
    assert (curve[["voxels_reached", "share_of_grid", "share_of_final"]] == 0).all(axis=None)
