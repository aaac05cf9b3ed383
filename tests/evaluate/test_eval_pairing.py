"""Pairing: optimal, one to one, within a frame, and strictly within the distance."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from eval_tables import FLAT, GRID, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import Tolerances
from napari_ulm3d.evaluate.pairing import inner, match, optimal_pairs

LIMIT = 50.0


def cost_of(distances: np.ndarray, size: int) -> float:
    """The objective: distances of the pairs, and LIMIT for each pair that was not made."""
    return float(distances.sum()) + LIMIT * (size - len(distances))


def brute_force(a: np.ndarray, b: np.ndarray) -> float:
    """Minimum objective over all one-to-one choices, by enumeration."""
    size = min(len(a), len(b))
    best = LIMIT * size
    for k in range(1, size + 1):
        for left in combinations(range(len(a)), k):
            for right in permutations(range(len(b)), k):
                d = np.linalg.norm(a[list(left)] - b[list(right)], axis=1)
                if (d < LIMIT).all():
                    best = min(best, cost_of(d, size))
    return best


points = st.lists(
    st.tuples(*[st.floats(0, 120, allow_nan=False, width=32)] * 3), min_size=0, max_size=4
).map(lambda rows: np.asarray(rows, float).reshape(-1, 3))


@settings(max_examples=80, deadline=None)
@given(points, points)
def test_no_other_pairing_of_a_frame_is_better(a: np.ndarray, b: np.ndarray) -> None:
    frame_a, frame_b = np.full(len(a), 7), np.full(len(b), 7)
    i, j, d = optimal_pairs(frame_a, a, frame_b, b, LIMIT)
    assert len(set(i)) == len(i)
    assert len(set(j)) == len(j)
    assert (d < LIMIT).all()
    np.testing.assert_allclose(d, np.linalg.norm(a[i] - b[j], axis=1))
    assert cost_of(d, min(len(a), len(b))) == pytest.approx(brute_force(a, b), abs=1e-6)


@pytest.mark.parametrize("spread", [2000.0, 400.0, 150.0])
def test_many_crowded_frames_agree_with_a_dense_assignment_of_each(spread: float) -> None:
    rng = np.random.default_rng(3)
    frame_a, frame_b = rng.integers(0, 12, 500), rng.integers(0, 12, 600)
    a, b = rng.uniform(0, spread, (500, 3)), rng.uniform(0, spread, (600, 3))
    i, j, d = optimal_pairs(frame_a, a, frame_b, b, LIMIT)
    assert (frame_a[i] == frame_b[j]).all()
    assert (np.diff(i) > 0).all()
    for frame in range(12):
        p, q = a[frame_a == frame], b[frame_b == frame]
        table = np.minimum(np.linalg.norm(p[:, None] - q[None], axis=2), LIMIT)
        expected = table[linear_sum_assignment(table)].sum()
        here = d[frame_a[i] == frame]
        assert cost_of(here, min(len(p), len(q))) == pytest.approx(expected)


def test_a_close_pair_is_not_given_up_for_two_far_ones() -> None:
    # Bubbles at 0 and 40, localizations at 0 and -45: two pairs are possible (45 and 40),
    # but the exact pair alone has the lower cost.
    a, b = np.array([[0.0, 0, 0], [40.0, 0, 0]]), np.array([[0.0, 0, 0], [-45.0, 0, 0]])
    i, j, d = optimal_pairs(np.zeros(2, int), a, np.zeros(2, int), b, LIMIT)
    assert (i.tolist(), j.tolist(), d.tolist()) == ([0], [0], [0.0])


def test_pairing_is_optimal_where_the_greedy_choice_is_not() -> None:
    # Greedy pairing takes the closest pair (21, 11) first, which leaves 0 and 51 too far apart.
    a, b = np.array([[0.0, 0, 0], [21.0, 0, 0]]), np.array([[11.0, 0, 0], [51.0, 0, 0]])
    i, j, _ = optimal_pairs(np.zeros(2, int), a, np.zeros(2, int), b, LIMIT)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_points_of_different_frames_never_pair() -> None:
    same = np.zeros((1, 3))
    i, _, _ = optimal_pairs(np.array([4]), same, np.array([5]), same, LIMIT)
    assert i.size == 0


def test_the_distance_is_strict() -> None:
    a, frame = np.zeros((1, 3)), np.zeros(1, int)
    for x, pairs in ((np.nextafter(LIMIT, 0), 1), (LIMIT, 0)):
        assert len(optimal_pairs(frame, a, frame, np.array([[0, 0, x]]), LIMIT)[0]) == pairs


def test_identical_positions_pair_one_to_one() -> None:
    a, frame = np.zeros((3, 3)), np.zeros(3, int)
    i, j, d = optimal_pairs(frame, a, frame[:2], a[:2], LIMIT)
    assert len(i) == len(set(j)) == 2
    assert (d == 0).all()


def test_the_inner_field_is_the_voxels_border_less_the_margin() -> None:
    x = np.array([-50.0, -50.1, 0.0, 1949.9, 1950.0, 1950.1])
    position = np.column_stack([np.full(6, 900.0), np.full(6, 900.0), x])
    assert inner(position, GRID, 0).tolist() == [True, False, True, True, True, False]
    assert inner(position, GRID, 50).tolist() == [False, False, True, False, False, False]


def test_an_axis_of_one_voxel_has_no_margin_and_no_distance() -> None:
    assert inner(np.array([[900.0, 4000.0, 900.0]]), FLAT, 300).tolist() == [True]
    truth = truth_of([(0, 1, 900, 4000, 900)])
    matching = match(
        np.zeros(1, int), np.array([[900.0, 0, 930.0]]), truth, FLAT, Tolerances(50, 25, 0)
    )
    assert matching.truth_row.tolist() == [0]
    assert matching.distance_um.tolist() == [30.0]


def test_a_margin_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="margin_um"):
        inner(np.zeros((1, 3)), GRID, 1000)
