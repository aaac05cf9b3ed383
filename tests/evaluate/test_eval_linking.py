"""Link scores for manual cases, and their invariances."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from eval_tables import FLAT, GRID, RATE_HZ, tracks_of, truth_of

from napari_ulm3d.evaluate import EvaluateConfig, LinkScores, Tolerances, Truth, score_links
from napari_ulm3d.evaluate.linking import true_speed_mm_s
from napari_ulm3d.tables import Tracks

CONFIG = EvaluateConfig(min_truth_frames=3)
PALA = Tolerances(50.0, 25.0, 0.0)
A, B = (500.0, 500.0), (900.0, 900.0)  # y, x of two bubbles that move along z


def bubble(number: int, place: tuple[float, float], frames: range) -> list[tuple[float, ...]]:
    return [(f, number, 500 + 10 * f, *place) for f in frames]


def track(number: int, place: tuple[float, float], frames: range) -> list[tuple[float, ...]]:
    return [(number, f, 500 + 10 * f, *place) for f in frames]


def score(tracks: Tracks, truth: Truth, tolerances: Tolerances = PALA) -> LinkScores:
    return score_links(tracks, truth, GRID, CONFIG, tolerances)


def test_perfect_tracks_have_perfect_scores() -> None:
    truth = truth_of([*bubble(4, A, range(6)), *bubble(2, B, range(3, 9))])
    tracks = tracks_of([*track(0, A, range(6)), *track(1, B, range(3, 9))], 1.0)
    scores = score(tracks, truth)
    assert (scores.n_links, scores.n_true_links, scores.n_correct_links) == (10, 10, 10)
    assert scores.link_precision == scores.link_recall == scores.recovered == 1.0
    assert (scores.switches, scores.fragmentation) == (0, 1.0)
    # 10 um in a hundredth of a second is 1 mm/s.
    assert scores.speed_bias_mm_s == pytest.approx(0, abs=1e-6)
    assert scores.speed_rmse_mm_s == pytest.approx(0, abs=1e-6)


def test_a_track_that_switches_bubbles() -> None:
    truth = truth_of([*bubble(1, A, range(6)), *bubble(2, B, range(6))])
    tracks = tracks_of([*track(0, A, range(3)), *track(0, B, range(3, 6))])
    scores = score(tracks, truth)
    # Five links, of which the one from A to B is wrong; the ground truth has ten.
    assert (scores.n_links, scores.n_correct_links, scores.n_true_links) == (5, 4, 10)
    assert scores.switches == 1
    assert scores.fragmentation == 1.0
    assert scores.recovered == 0.0  # two of five links each: less than half


def test_a_track_in_two_pieces() -> None:
    truth = truth_of(bubble(1, A, range(8)))
    tracks = tracks_of([*track(0, A, range(4)), *track(1, A, range(4, 8))])
    scores = score(tracks, truth)
    assert (scores.n_links, scores.n_true_links, scores.n_correct_links) == (6, 7, 6)
    assert (scores.fragmentation, scores.switches, scores.recovered) == (2.0, 0, 1.0)


def test_a_link_to_a_position_of_no_bubble_is_wrong_and_no_switch() -> None:
    truth = truth_of(bubble(1, A, range(5)))
    rows = track(0, A, range(5))
    rows[2] = (0, 2, 1500, 1500, 1500)
    scores = score(tracks_of(rows), truth)
    assert (scores.n_links, scores.n_correct_links, scores.switches) == (4, 2, 0)
    assert scores.link_precision == 0.5


def test_links_over_missing_frames_count_neither_way() -> None:
    truth = truth_of(bubble(1, A, range(6)))
    rows = [row for row in track(0, A, range(6)) if row[1] != 3]
    scores = score(tracks_of(rows), truth)
    assert (scores.n_links, scores.n_correct_links, scores.n_true_links) == (3, 3, 5)
    absent = truth_of([row for row in bubble(1, A, range(6)) if row[0] != 3])
    assert score(tracks_of(rows), absent).n_true_links == 3


def test_a_bubble_that_swaps_identity_is_caught_where_tracks_cross() -> None:
    # Two bubbles pass each other; the tracks bounce instead of crossing.
    y = [500.0, 540.0, 560.0, 600.0]
    truth = truth_of(
        [(f, 1, 500, y[f], 500) for f in range(4)] + [(f, 2, 500, y[3 - f], 500) for f in range(4)]
    )
    bounce = [500.0, 540.0, 540.0, 500.0], [600.0, 560.0, 560.0, 600.0]
    tracks = tracks_of([(k, f, 500, bounce[k][f], 500) for k in range(2) for f in range(4)])
    scores = score(tracks, truth, Tolerances(10.0, 5.0, 0.0))
    assert scores.switches == 2
    assert (scores.n_links, scores.n_correct_links, scores.n_true_links) == (6, 4, 6)
    assert scores.fragmentation == 2.0


def test_links_with_an_end_in_the_margin_count_neither_way() -> None:
    margin = Tolerances(50.0, 25.0, 100.0)  # inner field of view from 50 um on
    truth = truth_of([(f, 1, 20 + 15 * f, *A) for f in range(6)])  # 20, 35, 50, 65, 80, 95
    tracks = tracks_of([(0, f, 22 + 15 * f, *A) for f in range(6)])
    scores = score(tracks, truth, margin)
    assert (scores.n_links, scores.n_true_links, scores.n_correct_links) == (3, 3, 3)


def test_only_bubbles_seen_long_enough_are_asked_for() -> None:
    truth = truth_of([*bubble(1, A, range(6)), *bubble(2, B, range(2))])
    scores = score(tracks_of(track(0, A, range(6))), truth)
    assert (scores.n_bubbles, scores.recovered) == (1, 1.0)
    assert scores.n_true_links == 6
    longer = truth_of([*bubble(1, A, range(6)), *bubble(2, B, range(3))])
    scores = score(tracks_of(track(0, A, range(6))), longer)
    assert (scores.n_bubbles, scores.recovered) == (2, 0.5)


def test_half_of_the_links_is_enough() -> None:
    truth = truth_of(bubble(1, A, range(7)))
    assert score(tracks_of(track(0, A, range(4))), truth).recovered == 1.0
    assert score(tracks_of(track(0, A, range(3))), truth).recovered == 0.0


def test_speed_error_with_velocities_in_the_truth() -> None:
    truth = truth_of([(*row, 3.0, 4.0, 12.0) for row in bubble(1, A, range(4))])  # 13 mm/s
    scores = score(tracks_of(track(0, A, range(4)), 10.0), truth)
    assert scores.speed_bias_mm_s == pytest.approx(-3)
    assert scores.speed_rmse_mm_s == pytest.approx(3)
    assert scores.speed_bias_relative == pytest.approx(-3 / 13)
    assert scores.speed_rmse_relative == pytest.approx(3 / 13)


def test_true_speed_in_the_plane_and_from_differences() -> None:
    with_velocity = truth_of([(0, 1, 0, 0, 0, 3.0, 100.0, 4.0)])
    assert true_speed_mm_s(with_velocity, FLAT).tolist() == [5.0]
    # 0, 10, 40 um: one-sided at the ends, central in between; an isolated position has no speed.
    rows = [(2, 1, 40, 0, 0), (0, 1, 0, 0, 0), (1, 1, 10, 0, 0), (5, 1, 90, 0, 0)]
    speed = true_speed_mm_s(truth_of(rows), GRID, 1 / RATE_HZ)
    np.testing.assert_allclose(speed, [3.0, 1.0, 2.0, np.nan])


@pytest.mark.parametrize("side", ["tracks", "truth", "both"])
def test_nothing_at_all_is_undefined_not_an_error(side: str) -> None:
    tracks = tracks_of([] if side != "truth" else track(0, A, range(4)))
    truth = truth_of([] if side != "tracks" else bubble(1, A, range(4)))
    scores = score(tracks, truth)
    assert scores.n_correct_links == scores.switches == 0
    assert np.isnan([scores.speed_bias_mm_s, scores.fragmentation]).all()
    assert np.isnan(scores.link_precision) == (side != "truth")
    assert np.isnan(scores.link_recall) == (side != "tracks")


def test_scores_do_not_depend_on_the_order_of_rows_or_on_numbering() -> None:
    rng = np.random.default_rng(0)
    rows = [r for k in range(12) for r in bubble(k, (150.0 * k, 100.0 * k), range(k, k + 20))]
    truth = truth_of(rows)
    moved = tracks_of([(k // 2, f, z + rng.normal(0, 9), y, x) for f, k, z, y, x in rows], 1.2)
    table = moved.table.drop_duplicates(["track_id", "frame"])
    moved = Tracks(table)
    before = asdict(score(moved, truth))
    assert before["switches"] > 0
    shuffled = Tracks(
        table.assign(track_id=977 - 31 * table["track_id"]).sample(frac=1, random_state=1)
    )
    other = Truth(
        truth.table.assign(bubble_id=5000 - 7 * truth.bubble_ids).sample(frac=1, random_state=2)
    )
    after = asdict(score(shuffled, other))
    pd.testing.assert_series_equal(pd.Series(after), pd.Series(before))
