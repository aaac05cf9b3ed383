"""Localization scores: manual cases, brute force, invariances, margins."""

from __future__ import annotations

from dataclasses import asdict
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from eval_tables import FLAT, GRID, found_of, tracks_of, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate import Tolerances, Truth, score_localizations
from napari_ulm3d.tables import Localizations

PALA = Tolerances(pair_um=50.0, hit_um=25.0, margin_um=0.0)  # a wavelength of 100 um


def test_one_of_each_kind_by_hand() -> None:
    truth = truth_of(
        [
            (0, 1, 500, 500, 500),  # hit, 10 um off along x
            (0, 2, 900, 900, 900),  # paired at 40 um: FN, and its localization FP
            (0, 3, 1300, 900, 900),  # nothing near: FN
            (1, 1, 500, 500, 520),  # hit, 20 um off along z
        ]
    )
    found = found_of(
        [(0, 500, 500, 510), (0, 900, 940, 900), (0, 200, 200, 200), (1, 480, 500, 520)]
    )
    scores = score_localizations(found, truth, GRID, PALA)
    counts = (scores.true_positives, scores.false_negatives, scores.false_positives)
    assert counts == (2, 2, 2)
    assert scores.precision == scores.recall == 0.5
    assert scores.jaccard == pytest.approx(2 / 6)
    assert scores.n_pairs == 3
    assert scores.rmse_um == pytest.approx(np.sqrt((10**2 + 40**2 + 20**2) / 3))
    assert scores.hit_rmse_um == pytest.approx(np.sqrt((10**2 + 20**2) / 2))
    assert scores.bias_um == pytest.approx((-20 / 3, 40 / 3, 10 / 3))
    assert scores.rmse_axis_um == pytest.approx(np.array([20, 40, 10]) / np.sqrt(3))


@pytest.mark.parametrize(
    ("distance", "hits", "pairs"),
    [(np.nextafter(25.0, 0), 1, 1), (25.0, 0, 1), (np.nextafter(50.0, 0), 0, 1), (50.0, 0, 0)],
)
def test_both_tolerances_are_strict(distance: float, hits: int, pairs: int) -> None:
    grid = Grid((9, 9, 9), (100.0, 100.0, 100.0), (-400.0, -400.0, -400.0))
    scores = score_localizations(
        found_of([(0, distance, 0, 0)]), truth_of([(0, 0, 0, 0, 0)]), grid, PALA
    )
    assert (scores.true_positives, scores.n_pairs) == (hits, pairs)
    assert scores.false_negatives == scores.false_positives == 1 - hits


def test_two_close_bubbles_need_two_localizations() -> None:
    truth = truth_of([(0, 1, 500, 500, 500), (0, 2, 500, 500, 515)])
    merged = score_localizations(found_of([(0, 500, 500, 507)]), truth, GRID, PALA)
    assert (merged.true_positives, merged.false_negatives, merged.false_positives) == (1, 1, 0)
    apart = score_localizations(
        found_of([(0, 500, 500, 516), (0, 500, 500, 499)]), truth, GRID, PALA
    )
    assert apart.jaccard == 1.0
    assert apart.rmse_um == pytest.approx(1.0)


def test_a_double_detection_is_a_false_positive() -> None:
    found = found_of([(0, 500, 500, 501), (0, 500, 500, 502)])
    scores = score_localizations(found, truth_of([(0, 1, 500, 500, 500)]), GRID, PALA)
    assert (scores.true_positives, scores.false_positives) == (1, 1)
    assert scores.rmse_um == pytest.approx(1.0)


def test_ratios_over_nothing_are_undefined_and_counts_stay() -> None:
    truth, found = truth_of([(3, 1, 500, 500, 500)]), found_of([(5, 500, 500, 500)])
    nothing = score_localizations(found_of([]), truth_of([]), GRID, PALA)
    assert np.isnan([nothing.precision, nothing.recall, nothing.jaccard, nothing.rmse_um]).all()
    assert np.isnan(nothing.bias_um).all()
    missed = score_localizations(found_of([]), truth, GRID, PALA)
    assert (missed.false_negatives, missed.recall, missed.jaccard) == (1, 0.0, 0.0)
    assert np.isnan(missed.precision)
    invented = score_localizations(found, truth_of([]), GRID, PALA)
    assert (invented.false_positives, invented.precision, invented.jaccard) == (1, 0.0, 0.0)
    assert np.isnan(invented.recall)
    other_frames = score_localizations(found, truth, GRID, PALA)
    assert (other_frames.false_negatives, other_frames.false_positives) == (1, 1)


def test_the_margin_leaves_out_bubbles_and_their_localizations_alike() -> None:
    inside = Tolerances(50.0, 25.0, 100.0)  # inner field of view: 50 to 1850 um
    truth = truth_of(
        [
            (0, 1, 500, 500, 40),  # in the margin; its localization is inside at 60
            (0, 2, 500, 900, 55),  # inside; its localization is in the margin at 45
            (0, 3, 900, 900, 1900),  # in the margin, missed: no false negative
            (0, 4, 900, 900, 2000),  # outside the grid altogether
            (0, 5, 900, 900, 900),  # inside, missed
        ]
    )
    found = found_of(
        [
            (0, 500, 500, 60),
            (0, 500, 900, 45),
            (0, 1300, 1300, 0),  # alone in the margin: no false positive
            (0, 1300, 1300, 1300),  # alone inside
        ]
    )
    scores = score_localizations(found, truth, GRID, inside)
    assert (scores.n_truth, scores.n_truth_margin) == (2, 3)
    assert (scores.n_found, scores.n_found_margin) == (2, 2)
    counts = (scores.true_positives, scores.false_negatives, scores.false_positives)
    assert counts == (1, 1, 1)


@pytest.mark.parametrize(
    ("bubble_x", "found_x", "counts"), [(40, 60, (0, 0)), (60, 40, (1, 1)), (45, 40, (0, 0))]
)
def test_a_pair_is_judged_by_the_place_of_its_bubble(
    bubble_x: float, found_x: float, counts: tuple[int, int]
) -> None:
    scores = score_localizations(
        found_of([(0, 500, 500, found_x)]),
        truth_of([(0, 1, 500, 500, bubble_x)]),
        GRID,
        Tolerances(50.0, 25.0, 100.0),
    )
    assert (scores.n_truth, scores.n_found) == counts
    assert scores.true_positives == scores.n_pairs == counts[0]


def test_a_flat_acquisition_is_scored_in_its_plane() -> None:
    scores = score_localizations(
        found_of([(0, 500, 0, 503)]), truth_of([(0, 1, 504, 80, 500)]), FLAT, PALA
    )
    assert scores.true_positives == 1
    assert scores.rmse_um == pytest.approx(5.0)
    assert scores.bias_um[0::2] == pytest.approx((-4.0, 3.0))
    assert np.isnan([scores.bias_um[1], scores.rmse_axis_um[1]]).all()


def test_positions_of_tracks_are_scored_alike() -> None:
    truth = truth_of([(0, 1, 500, 500, 500), (1, 1, 500, 500, 510)])
    tracks = tracks_of([(9, 0, 500, 500, 501), (9, 1, 500, 500, 540)])
    scores = score_localizations(tracks, truth, GRID, PALA)
    assert (scores.true_positives, scores.n_pairs) == (1, 2)


coordinate = st.floats(400, 520, allow_nan=False, width=32)
triples = st.tuples(coordinate, coordinate, coordinate)
frames = st.lists(
    st.tuples(st.lists(triples, max_size=3), st.lists(triples, max_size=3)), max_size=4
)


def as_tables(data: list) -> tuple[Localizations, Truth]:
    found = [(f, *p) for f, (points, _) in enumerate(data) for p in points]
    truth = [(f, k, *p) for f, (_, points) in enumerate(data) for k, p in enumerate(points)]
    return found_of(found), truth_of(truth)


@settings(max_examples=60, deadline=None)
@given(frames)
def test_counts_agree_with_trying_every_pairing(data: list) -> None:
    found, truth = as_tables(data)
    scores = score_localizations(found, truth, GRID, PALA)
    hits, squares, pairs, unique = 0, 0.0, 0, True
    for points, bubbles in data:
        options = []
        size = max(len(points), len(bubbles))
        p = [*points, *[None] * (size - len(points))]
        q = [*bubbles, *[None] * (size - len(bubbles))]
        for order in permutations(range(size)):
            d = [
                np.linalg.norm(np.subtract(p[i], q[j]))
                for i, j in enumerate(order)
                if p[i] is not None and q[j] is not None
            ]
            made = sorted(x for x in d if x < 50)
            options.append((sum(made) - 50 * len(made), made))
        options.sort(key=lambda option: option[0])
        best = options[0]
        # If two pairings are equally good, the counts may be those of either: skip such cases.
        unique &= all(o[1] == best[1] for o in options if o[0] < best[0] + 1e-6)
        hits += sum(x < 25 for x in best[1])
        pairs += len(best[1])
        squares += sum(x**2 for x in best[1])
    if unique:
        assert (scores.true_positives, scores.n_pairs) == (hits, pairs)
        if pairs:
            assert scores.rmse_um == pytest.approx(np.sqrt(squares / pairs))
    assert scores.true_positives + scores.false_negatives == len(truth)
    assert scores.true_positives + scores.false_positives == len(found)


def crowd(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, 1900, (600, 3))
    truth = pd.DataFrame(position, columns=["z_um", "y_um", "x_um"])
    truth["frame"], truth["bubble_id"] = np.repeat(np.arange(20), 30), np.tile(np.arange(30), 20)
    seen = rng.random(600) < 0.7
    near = position[seen] + rng.normal(0, 12, (seen.sum(), 3))
    found = np.vstack([near, rng.uniform(0, 1900, (200, 3))])
    frame = np.concatenate([truth["frame"].to_numpy()[seen], rng.integers(0, 20, 200)])
    table = Localizations.from_arrays(
        frame, found, np.zeros(len(found)), np.ones(len(found)), 100.0
    ).table
    return table, truth


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("change", ["rows", "frames", "shift", "axes"])
def test_scores_do_not_depend_on(change: str) -> None:
    found, truth = crowd(1)
    margin = Tolerances(50.0, 25.0, 100.0)
    before = asdict(score_localizations(Localizations(found), Truth(truth), GRID, margin))
    assert 0.3 < before["jaccard"] < 0.9
    grid = GRID
    rng = np.random.default_rng(5)
    if change == "rows":
        found, truth = found.sample(frac=1, random_state=2), truth.sample(frac=1, random_state=3)
    elif change == "frames":
        new = rng.permutation(1000)[:20]
        found = found.assign(frame=new[found["frame"]])
        truth = truth.assign(frame=new[truth["frame"]])
    elif change == "shift":
        shift = {"z_um": 4096.0, "y_um": -512.0, "x_um": 64.0}
        found = found.assign(**{name: found[name] + by for name, by in shift.items()})
        truth = truth.assign(**{name: truth[name] + by for name, by in shift.items()})
        grid = Grid(GRID.shape, GRID.spacing_um, tuple(shift.values()))
    else:
        names = {"z_um": "x_um", "x_um": "z_um"}
        found, truth = found.rename(columns=names), truth.rename(columns=names)
        for name in ("bias_um", "rmse_axis_um"):
            before[name] = before[name][::-1]
    after = asdict(score_localizations(Localizations(found), Truth(truth), grid, margin))
    same(before, after)


def test_exchanging_found_and_true_exchanges_precision_and_recall() -> None:
    found, truth = crowd(2)
    forth = score_localizations(Localizations(found), Truth(truth), GRID, PALA)
    as_truth = Truth(found.assign(bubble_id=np.arange(len(found))))
    n = len(truth)
    as_found = Localizations.from_arrays(
        truth["frame"].to_numpy(),
        truth[["z_um", "y_um", "x_um"]].to_numpy(),
        np.zeros(n),
        np.ones(n),
        100.0,
    )
    back = score_localizations(as_found, as_truth, GRID, PALA)
    assert (forth.precision, forth.recall) == pytest.approx((back.recall, back.precision))
    assert forth.jaccard == back.jaccard
    np.testing.assert_allclose(forth.bias_um, -np.array(back.bias_um))
