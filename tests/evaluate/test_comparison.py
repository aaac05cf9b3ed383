"""Comparing two results: differences of maps, ground truth as tables, similarity of tracks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import (
    EvaluateConfig,
    Truth,
    evaluate,
    map_dice,
    map_difference,
    score_rows,
    tracks_dice,
    truth_localizations,
    truth_tracks,
)
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

GRID = Grid((6, 5, 4), (100.0, 100.0, 100.0))


def some_truth(velocities: bool = False) -> Truth:
    """Bubble 4 moves deeper at 5 mm/s in frames 0 to 9, disappears, and returns in 14 to 17."""
    frame = np.r_[0:10, 14:18]
    table = pd.DataFrame({"frame": frame, "bubble_id": 4, "z_um": 50.0 + 50.0 * frame})
    table = table.assign(y_um=200.0, x_um=150.0)
    other = pd.DataFrame({"frame": [3], "bubble_id": 1, "z_um": 9e4, "y_um": 0.0, "x_um": 0.0})
    table = pd.concat([table, other], ignore_index=True)
    if velocities:
        table = table.assign(vz_mm_s=np.arange(15.0), vy_mm_s=1.0, vx_mm_s=2.0)
    return Truth(table.sample(frac=1, random_state=3))


def test_differences_are_those_of_full_volumes() -> None:
    rng = np.random.default_rng(0)
    volumes = [
        np.where(rng.random(GRID.shape) < 0.4, rng.integers(1, 5, GRID.shape), 0) for _ in range(2)
    ]
    first, second = (VesselMap.from_dense("density", v, GRID, "tracks") for v in volumes)
    difference = map_difference(first, second)
    np.testing.assert_array_equal(difference.dense(), volumes[0] - volumes[1])
    assert difference.signed
    assert difference.unit == "tracks"
    common = map_difference(first, second, common=True).dense()
    both = (volumes[0] > 0) & (volumes[1] > 0)
    np.testing.assert_array_equal(common, np.where(both, volumes[0] - volumes[1], 0))
    other = VesselMap("density", Grid((6, 5, 5), (1, 1, 1)), np.array([], int), np.array([]))
    with pytest.raises(ConfigError, match="cannot be compared"):
        map_difference(first, other)


def test_a_bubble_that_comes_back_is_another_track() -> None:
    tracks = truth_tracks(some_truth(), 100.0)
    table = tracks.table
    assert tracks.n_tracks == 3
    lengths = table.groupby("track_id").size().tolist()
    assert sorted(lengths) == [1, 4, 10]
    assert (table.groupby("track_id")["frame"].diff().dropna() == 1).all()
    moving = table[table["z_um"] < 2000]
    np.testing.assert_allclose(moving["vz_mm_s"], 5.0)  # 50 um per frame at 100 Hz
    np.testing.assert_allclose(moving["speed_mm_s"], 5.0)
    np.testing.assert_allclose(table["time_s"], table["frame"] / 100)


def test_known_velocities_are_kept() -> None:
    truth = some_truth(velocities=True)
    tracks = truth_tracks(truth, 100.0).table
    both = tracks.merge(truth.table, on=["frame", "z_um"], suffixes=("", "_true"))
    assert len(both) == 15
    np.testing.assert_allclose(both["vz_mm_s"], both["vz_mm_s_true"])


def test_true_localizations_are_those_in_the_field_of_view() -> None:
    found = truth_localizations(some_truth(), GRID, 100.0)
    assert found.frames.tolist() == list(range(10))  # later ones are deeper than 550 um
    assert (found.table["score"] == 1).all()


def test_the_truth_scores_fully_against_itself() -> None:
    truth = some_truth()
    tracks = truth_tracks(truth, 100.0)
    found = truth_localizations(truth, GRID, 100.0)
    inside = Truth(truth.table[GRID.contains(truth.positions_um)])
    rows = dict(
        score_rows(evaluate(found, tracks, inside, GRID, 100.0, EvaluateConfig(margin_um=0.0)))
    )
    assert rows["Jaccard index at 25 um"] == "1.000"
    assert rows["RMSE of pairs"] == "0.0 um"
    bare = evaluate(type(found).empty(), tracks, inside, GRID, 100.0, EvaluateConfig(margin_um=0.0))
    assert dict(score_rows(bare))["recall at 25 um"] == "1.000"  # of the tracks' positions


def test_alike_tracks_have_the_dice_of_the_truths_map() -> None:
    truth = some_truth()
    inside = Truth(truth.table[truth.table["frame"] < 10])
    tracks = truth_tracks(inside, 100.0)
    shifted = Tracks(tracks.table.assign(x_um=tracks.table["x_um"] + 30.0))
    assert tracks_dice(tracks, tracks, GRID) == 1.0
    assert tracks_dice(tracks, shifted, GRID) == 0.0
    half = Tracks(tracks.table[tracks.table["frame"] < 5])
    expected = map_dice(half, inside, GRID, 25.0).dice
    assert tracks_dice(half, tracks, GRID) == pytest.approx(expected)
    assert np.isnan(tracks_dice(Tracks.empty(), Tracks.empty(), GRID))
