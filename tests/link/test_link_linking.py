"""From localizations to tracks, through the public functions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.link import link, link_frames
from napari_ulm3d.tables import VELOCITY_MM_S, Localizations, Tracks

RATE = 250.0
LOOSE = LinkConfig(min_length_frames=2, smoothing_frames=1)


def table(frame, position, score=None) -> Localizations:
    frame = np.asarray(frame, np.int64)
    position = np.asarray(position, float).reshape(-1, 3)
    score = np.ones(len(frame)) if score is None else score
    return Localizations.from_arrays(frame, position, np.full(len(frame), 12.0), score, RATE)


def straight(start, velocity_mm_s, frames) -> tuple[np.ndarray, np.ndarray]:
    frames = np.asarray(frames)
    step = np.asarray(velocity_mm_s, float) * 1000 / RATE
    return frames, np.asarray(start, float) + (frames - frames[0])[:, None] * step


def crowd(n_frames: int = 40, n: int = 25, seed: int = 0) -> Localizations:
    """Drifting bubbles, some missed, with false localizations."""
    rng = np.random.default_rng(seed)
    position, speed = rng.uniform(0, 1500, (n, 3)), rng.normal(0, 25, (n, 3))
    frames, rows = [], []
    for frame in range(n_frames):
        position = position + speed
        seen = position[rng.uniform(size=n) < 0.9]
        false = rng.uniform(0, 1500, (rng.poisson(5), 3))
        for points in (seen, false):
            rows.append(points)
            frames += [frame] * len(points)
    return table(frames, np.concatenate(rows), rng.uniform(size=len(frames)))


@pytest.mark.parametrize("window", [1, 5, 9])
def test_a_straight_track_at_constant_speed_is_exact(window: int) -> None:
    velocity = [3.0, -4.0, 12.0]
    frames, position = straight([100, 200, 300], velocity, range(7, 27))
    tracks = link(table(frames, position), RATE, LinkConfig(smoothing_frames=window))
    assert tracks.n_tracks == 1
    np.testing.assert_array_equal(tracks.frames, frames)
    np.testing.assert_allclose(tracks.table["time_s"], frames / RATE)
    np.testing.assert_allclose(tracks.positions_um, position, atol=1e-9)
    np.testing.assert_allclose(tracks.velocities_mm_s, [velocity] * 20, rtol=1e-6)
    np.testing.assert_allclose(tracks.table["speed_mm_s"], 13.0, rtol=1e-6)


def test_smoothing_over_a_distance_averages_a_slow_bubble_for_longer() -> None:
    rng = np.random.default_rng(0)
    frames, position = straight([100, 200, 300], [0.05, 0.0, 0.1], range(200))
    noisy = table(frames, position + rng.normal(0, 4, position.shape))
    errors = []
    for how in ({}, {"smoothing_distance_um": 5.0}):
        tracks = link(noisy, RATE, LinkConfig(**how))
        assert tracks.n_tracks == 1
        errors.append(np.sqrt(np.mean((tracks.positions_um - position) ** 2)))
    averaged, local = errors
    assert averaged > 1.2  # 4 um over five frames
    assert local < 0.8 * averaged


def test_smoothing_over_a_distance_keeps_a_straight_track() -> None:
    velocity = [3.0, -4.0, 12.0]
    frames, position = straight([100, 200, 300], velocity, range(7, 27))
    tracks = link(table(frames, position), RATE, LinkConfig(smoothing_distance_um=25.0))
    np.testing.assert_allclose(tracks.positions_um, position, atol=1e-8)
    np.testing.assert_allclose(tracks.velocities_mm_s, [velocity] * 20, rtol=1e-6)


def test_the_speed_limit_is_in_mm_s_whatever_the_axis() -> None:
    """Positions are in micrometres, so anisotropic voxels do not matter: 30 mm/s is 120 um here."""
    for axis in range(3):
        for step, n_tracks in ((119.9, 1), (120.1, 0)):
            position = np.zeros((12, 3))
            position[:, axis] = step * np.arange(12)
            assert link(table(range(12), position), RATE, LOOSE).n_tracks == n_tracks


def test_the_gate_is_a_sphere_in_um() -> None:
    diagonal = np.arange(12)[:, None] * np.full(3, 119 / np.sqrt(3))
    assert link(table(range(12), diagonal), RATE, LOOSE).n_tracks == 1
    assert link(table(range(12), diagonal * 1.02), RATE, LOOSE).n_tracks == 0


def crossing(second_x: float) -> tuple[Localizations, np.ndarray, np.ndarray]:
    """Two bubbles that approach each other at 80 um per frame along x, 20 um apart in z."""
    frames, one = straight([0, 0, 0], [0, 0, 20], range(21))
    _, other = straight([20, 0, second_x], [0, 0, -20], range(21))
    return table(np.repeat(frames, 2), np.stack((one, other), axis=1)), one, other


def test_crossing_tracks_stay_apart() -> None:
    """They meet on a frame, 20 um apart: the least sum of squares keeps both tracks straight."""
    both, one, other = crossing(1600.0)
    tracks = link(both, RATE, LinkConfig(smoothing_frames=1))
    assert tracks.n_tracks == 2
    np.testing.assert_allclose(tracks.positions_um, np.concatenate((one, other)), atol=1e-9)


def test_predicted_velocities_guide_the_linking() -> None:
    """They meet between two frames: positions alone exchange them, velocities do not."""
    both, one, other = crossing(1560.0)
    config = LinkConfig(smoothing_frames=1)
    exchanged = link(both, RATE, config)
    np.testing.assert_allclose(exchanged.positions_um[:21], [*one[:10], *other[10:]], atol=1e-9)
    guided = both.table.assign(vz_mm_s=0.0, vy_mm_s=0.0, vx_mm_s=np.tile([20.0, -20.0], 21))
    tracks = link(Localizations(guided), RATE, config)
    np.testing.assert_allclose(tracks.positions_um, np.concatenate((one, other)), atol=1e-9)
    # Twice the time and twice the distance: the same holds across a gap at the meeting point.
    seen = ~guided["frame"].isin([10])
    gap = link(Localizations(guided[seen]), RATE, LinkConfig(smoothing_frames=1, max_gap_frames=1))
    np.testing.assert_allclose(gap.positions_um, np.concatenate((one, other)), atol=1e-9)


def test_a_missing_velocity_is_ignored() -> None:
    plain = crowd()
    unknown = plain.table.assign(**dict.fromkeys(VELOCITY_MM_S, np.nan))
    expected = link(plain, RATE, LOOSE).table
    pd.testing.assert_frame_equal(link(Localizations(unknown), RATE, LOOSE).table, expected)


def test_gaps() -> None:
    frames, position = straight([0, 0, 0], [0, 3, 4], range(20))
    seen = ~np.isin(frames, [6, 11, 12])
    score = np.where(frames < 10, 0.2, 0.8)
    missed = table(frames[seen], position[seen], score[seen])
    assert link(missed, RATE, LinkConfig(min_length_frames=6)).n_tracks == 2
    one_gap = link(missed, RATE, LinkConfig(min_length_frames=6, max_gap_frames=1))
    assert one_gap.table.groupby("track_id").size().tolist() == [11, 7]
    tracks = link(missed, RATE, LinkConfig(min_length_frames=17, max_gap_frames=2))
    np.testing.assert_array_equal(tracks.frames, frames)
    np.testing.assert_allclose(tracks.positions_um, position, atol=1e-9)
    np.testing.assert_allclose(tracks.table["score"], score, rtol=1e-6)
    # Filled frames are rows but not localizations: 17 were observed.
    assert link(missed, RATE, LinkConfig(min_length_frames=18, max_gap_frames=2)).n_tracks == 0


def test_the_gate_grows_with_the_gap() -> None:
    """A bubble at 29 mm/s that is missed once moves 232 um between two detections."""
    frames, position = straight([0, 0, 0], [0, 0, 29], range(10))
    seen = frames != 4
    missed = table(frames[seen], position[seen])
    config = LinkConfig(min_length_frames=9, max_gap_frames=1)
    assert link(missed, RATE, config).n_tracks == 1


def test_short_tracks_are_dropped_and_the_rest_renumbered() -> None:
    long, short = np.arange(9), np.arange(8)
    frame = np.concatenate((short, long + 2, long + 1))
    position = np.zeros((26, 3))
    position[:, 0] = np.repeat([0, 1000, 2000], [8, 9, 9])
    tracks = link(table(frame, position), RATE)
    assert tracks.table.groupby("track_id")["z_um"].first().to_dict() == {0: 2000.0, 1: 1000.0}


def test_two_dimensional() -> None:
    flat = crowd(seed=4).table.assign(y_um=0.0)
    tracks = link(Localizations(flat), RATE, LOOSE)
    assert tracks.n_tracks > 5
    assert not tracks.table[["y_um", "vy_mm_s"]].any(axis=None)


def test_columns_and_order() -> None:
    tracks = link(crowd(), RATE, LinkConfig(max_gap_frames=2))
    assert list(tracks.table.columns) == list(Tracks.required)
    order = np.lexsort((tracks.frames, tracks.table["track_id"]))
    np.testing.assert_array_equal(order, np.arange(len(tracks)))
    for _, track in tracks.table.groupby("track_id"):
        assert (np.diff(track["frame"]) == 1).all()
    speed = np.linalg.norm(tracks.velocities_mm_s, axis=1)
    np.testing.assert_allclose(tracks.table["speed_mm_s"], speed, rtol=1e-5)


@pytest.mark.slow
@given(st.lists(st.integers(0, 1100), max_size=12), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_chunks_do_not_matter(cuts: list[int], gap: int) -> None:
    """Bit-identical tracks however the rows are divided into chunks, even within frames."""
    whole = crowd()
    config = LinkConfig(max_gap_frames=gap, min_length_frames=4)
    expected = link(whole, RATE, config)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [Localizations(whole.table.iloc[a:b]) for a, b in pairwise(edges)]
    parts = list(link_frames(chunks, RATE, config))
    assert len(parts) == len(chunks) + 1  # one table per chunk, one at the end
    got = Tracks.concat(parts).table
    got = got.sort_values(["track_id", "frame"], kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(got, expected.table, check_exact=True)


def test_tracks_are_yielded_while_frames_arrive() -> None:
    """The tracks of a chunk are returned before the next chunk is requested."""
    asked = []

    def chunks():
        for k in range(5):
            asked.append(k)
            frames, position = straight([0, 0, 300 * k], [1, 0, 0], range(100 * k, 100 * k + 30))
            yield table(frames, position)

    tracks = link_frames(chunks(), RATE, LinkConfig(max_speed_mm_s=30, prediction="none"))
    # The last frame of a chunk may continue in the next, so the first track needs two chunks.
    assert len(next(tracks)) == 0
    assert next(tracks).table["track_id"].unique().tolist() == [0]
    assert asked == [0, 1]
    assert [part.table["track_id"].iloc[0] for part in tracks] == [1, 2, 3, 4]


def test_breaks_cut_tracks() -> None:
    frames, position = straight([0, 0, 0], [1, 0, 0], range(60))
    one = table(frames, position)
    assert link(one, RATE, breaks=[]).n_tracks == 1
    tracks = link(one, RATE, LinkConfig(max_gap_frames=3), breaks=[40, 20])
    assert tracks.table.groupby("track_id")["frame"].agg(["min", "max"]).values.tolist() == [
        [0, 19],
        [20, 39],
        [40, 59],
    ]
    # A break at a frame without localizations has the same effect.
    without = table(frames[frames != 20], position[frames != 20])
    gap = LinkConfig(max_gap_frames=3)
    assert (link(without, RATE, gap).n_tracks, link(without, RATE, gap, breaks=[20]).n_tracks) == (
        1,
        2,
    )


def test_rows_in_any_order_of_frames() -> None:
    whole = crowd()
    mixed = whole.table.sort_values("frame", ascending=False, kind="stable")
    expected = link(whole, RATE, LOOSE).table
    pd.testing.assert_frame_equal(link(Localizations(mixed), RATE, LOOSE).table, expected)


def test_same_input_same_output() -> None:
    pd.testing.assert_frame_equal(
        link(crowd(), RATE, LOOSE).table, link(crowd(), RATE, LOOSE).table, check_exact=True
    )


def test_empty_input_gives_empty_output() -> None:
    assert len(link(Localizations.empty(), RATE)) == 0
    assert [len(tracks) for tracks in link_frames([], RATE)] == [0]
    assert sum(len(tracks) for tracks in link_frames([Localizations.empty()] * 3, RATE)) == 0


def test_a_single_frame_gives_no_track() -> None:
    assert len(link(table([5] * 10, np.zeros((10, 3))), RATE, LOOSE)) == 0


def test_coincident_bubbles() -> None:
    frame = np.repeat(np.arange(12), 3)
    tracks = link(table(frame, np.ones((36, 3))), RATE)
    assert tracks.table.groupby("track_id").size().tolist() == [12, 12, 12]
    assert not tracks.table["speed_mm_s"].any()


def test_bad_input_is_named_in_the_error() -> None:
    good = table([0, 1], np.zeros((2, 3)))
    with pytest.raises(ConfigError, match="frame rate"):
        link(good, 0.0)
    with pytest.raises(ResultsError, match=r"frame 7 .*NaN"):
        link(table([3, 7], [[0, 0, 0], [0, np.nan, 0]]), RATE)
    with pytest.raises(ResultsError, match="frame 2"):
        list(link_frames([table([0, 4], np.zeros((2, 3))), table([2], np.zeros((1, 3)))], RATE))
