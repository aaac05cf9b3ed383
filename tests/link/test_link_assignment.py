"""The assignment compared with brute force and scipy."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_ulm3d.link.assignment import assign

Points = NDArray[np.float64]


def solve(source: Points, target: Points, gate: float) -> NDArray[np.int64]:
    return assign(source, np.zeros_like(source), target, np.zeros_like(target), gate)


def squared(source: Points, target: Points) -> Points:
    return ((source[:, None] - target[None]) ** 2).sum(axis=-1)


def summary(source: Points, target: Points, gate: float, links: NDArray[np.int64]):
    """Number of links and their cost, after checking that they are links."""
    used = links[links >= 0]
    assert len(set(used.tolist())) == len(used)
    cost = squared(source, target)[links >= 0, used]
    assert (cost <= gate * gate).all()
    return len(used), cost.sum()


def points(most: int):
    # Coarse coordinates make ties and duplicates common.
    return st.integers(0, most).flatmap(
        lambda n: arrays(np.float64, (n, 3), elements=st.integers(0, 12).map(lambda k: k / 4))
    )


@given(points(5), points(5), st.sampled_from([0.3, 0.75, 1.5, 10.0]))
@settings(max_examples=150, deadline=None)
def test_brute_force(source: Points, target: Points, gate: float) -> None:
    """Among all ways to link, it has the most links, then the least sum of squares."""
    cost = squared(source, target)
    n, m = cost.shape
    best = (0, 0.0)
    for choice in permutations([*range(m), *[-1] * n], n):
        links = [(i, j) for i, j in enumerate(choice) if j >= 0 and cost[i, j] <= gate * gate]
        best = min(best, (-len(links), sum(cost[i, j] for i, j in links)))
    n_links, total = summary(source, target, gate, solve(source, target, gate))
    assert (-n_links, total) == pytest.approx(best)


@pytest.mark.parametrize("crowding", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("flat", [False, True], ids=["3-D", "2-D"])
def test_scipy_on_the_full_matrix(crowding: float, flat: bool) -> None:
    """It equals linear_sum_assignment with one column per source for "no link"."""
    rng = np.random.default_rng(3)
    for _ in range(60):
        n, m = rng.integers(1, 60, 2)
        extent = (60 / crowding) ** (1 / (2 if flat else 3))
        source, target = rng.uniform(0, extent, (n, 3)), rng.uniform(0, extent, (m, 3))
        if flat:
            source[:, 1] = target[:, 1] = 0
        cost = squared(source, target)
        full = np.full((n, m + n), 1e6)
        full[:, :m] = np.where(cost <= 1, cost, 1e9)
        rows, columns = linear_sum_assignment(full)
        chosen = columns < m
        n_links, total = summary(source, target, 1.0, solve(source, target, 1.0))
        assert n_links == chosen.sum()
        assert total == pytest.approx(cost[rows[chosen], columns[chosen]].sum(), abs=1e-9)


def test_optimal_where_greedy_is_not() -> None:
    """The nearest pair is given up if that saves more elsewhere."""
    source = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    target = np.array([[0.9, 0, 0], [2.5, 0, 0]])
    # Greedy linking joins 1 to 0 (0.1 apart), so 0 must move by 2.5; the optimum shifts both.
    np.testing.assert_array_equal(solve(source, target, 3.0), [0, 1])
    np.testing.assert_array_equal(solve(source, target, 0.95), [-1, 0])


def test_gate_is_inclusive() -> None:
    source, target = np.zeros((1, 3)), np.array([[3.0, 0.0, 4.0]])
    assert solve(source, target, 5.0).tolist() == [0]
    assert solve(source, target, np.nextafter(5.0, 0)).tolist() == [-1]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_empty(n: int, m: int) -> None:
    assert solve(np.zeros((n, 3)), np.zeros((m, 3)), 1.0).tolist() == [-1] * n


def test_coincident_points_are_each_linked_once() -> None:
    links = solve(np.zeros((4, 3)), np.zeros((3, 3)), 1.0)
    assert sorted(links.tolist()) == [-1, 0, 1, 2]


def test_expected_shifts_decide_between_neighbours() -> None:
    """Two bubbles exchange places: by distance they stay, by their velocities they cross."""
    source = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    target = np.array([[0.1, 0, 0], [1.9, 0, 0]])
    assert solve(source, target, 3.0).tolist() == [0, 1]
    half = np.array([[0.95, 0, 0], [-0.95, 0, 0]])
    assert assign(source, half, target, half[::-1].copy(), 3.0).tolist() == [1, 0]


def test_shifts_do_not_lengthen_the_gate() -> None:
    source, target = np.zeros((1, 3)), np.array([[2.0, 0, 0]])
    half = np.array([[1.0, 0, 0]])
    assert assign(source, half, target, half, 1.9).tolist() == [-1]
    assert assign(source, -half, target, -half, 2.1).tolist() == [-1]
    assert assign(source, half, target, half, 2.1).tolist() == [0]
    # A large number of sources, which makes each link more valuable, does not change this.
    many, none = np.zeros((9, 3)), np.zeros((9, 3))
    many[1:, 0] = 100.0
    none[0] = -half
    assert assign(many, none, target, -half, 2.1).tolist() == [-1] * 9
