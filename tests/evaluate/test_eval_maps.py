"""Dice of maps: manual cases, dense drawing, and scipy's own dissimilarity."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from eval_tables import FLAT, GRID, tracks_of, truth_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import dice as scipy_dice

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate import dice, map_dice, set_dice
from napari_ulm3d.evaluate.maps import occupied_voxels
from napari_ulm3d.volumes import VesselMap

UNIT = Grid((12, 10, 8), (1.0, 1.0, 1.0))


def voxels(positions: list, grid: Grid = UNIT) -> set[tuple[int, ...]]:
    n = len(positions)
    flat = occupied_voxels(np.zeros(n, int), np.arange(n), np.asarray(positions, float), grid)
    assert (np.diff(flat) > 0).all()
    return set(zip(*(c.tolist() for c in np.unravel_index(flat, grid.shape)), strict=True))


def test_dice_of_two_arrays_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((5, 6, 7)) < 0.3, rng.random((5, 6, 7)) < 0.4
    expected = 1 - scipy_dice(a.ravel(), b.ravel())
    assert dice(a, b) == pytest.approx(expected)
    first, second = (
        VesselMap.from_dense("a", 3.0 * a, _unit(a)),
        VesselMap.from_dense("b", b, _unit(b)),
    )
    assert dice(first, second) == pytest.approx(expected)


def _unit(array: np.ndarray) -> Grid:
    return Grid(array.shape, (1.0, 1.0, 1.0))


def test_dice_at_its_ends() -> None:
    a = np.zeros((2, 2, 2))
    b = a.copy()
    assert np.isnan(dice(a, b))
    a[0] = 1
    assert dice(a, b) == 0.0
    assert dice(a, a) == 1.0
    with pytest.raises(ValueError, match="cannot be compared"):
        dice(a, np.zeros((2, 2, 3)))


def test_set_dice_adds_samples_before_it_compares() -> None:
    outputs = np.array([[0.9, 0.51, 0.5, 0.0], [0.0, 0.0, 0.0, 0.6]])
    truths = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    # Union of outputs {0, 1, 3}, of truths {0, 1}; the mean of the samples' own is 1/2.
    assert set_dice(zip(outputs, truths, strict=True)) == pytest.approx(2 * 2 / (3 + 2))
    assert np.isnan(set_dice([]))
    with pytest.raises(ValueError, match="sample"):
        set_dice([(outputs[0], truths[0]), (outputs[0, :2], truths[0, :2])])


def test_lines_along_an_axis_and_across_a_corner() -> None:
    assert voxels([(1, 2, 3), (4, 2, 3)]) == {(z, 2, 3) for z in range(1, 5)}
    assert voxels([(4, 2, 3), (1, 2, 3)]) == {(z, 2, 3) for z in range(1, 5)}
    assert voxels([(0, 0, 0), (2, 2, 2)]) == {(0, 0, 0), (1, 1, 1), (2, 2, 2)}
    assert voxels([(3, 3, 3)]) == {(3, 3, 3)}
    assert voxels([(3, 3, 3), (3, 3, 3)]) == {(3, 3, 3)}


def test_lines_that_leave_the_grid_keep_what_is_inside() -> None:
    assert voxels([(0, 0, -5), (0, 0, 1)]) == {(0, 0, 0), (0, 0, 1)}
    assert voxels([(-5, 0, 0), (-2, 0, 0)]) == set()
    assert voxels([(0, 0, -2), (0, 0, 9)]) == {(0, 0, x) for x in range(8)}


spot = st.tuples(
    st.floats(-1, 12, width=32), st.floats(-1, 10, width=32), st.floats(-1, 8, width=32)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(spot, min_size=2, max_size=4))
def test_every_voxel_that_a_line_touches_and_no_other(path: list) -> None:
    here = voxels(path)
    dense = np.concatenate(
        [
            np.asarray(a) + np.linspace(0, 1, 4001)[:, None] * np.subtract(b, a)
            for a, b in pairwise(path)
        ]
    )
    inside = dense[UNIT.contains(dense)]
    sampled = set(map(tuple, np.floor(inside + 0.5).astype(int).tolist()))
    # Sampling may miss the clipping of a corner, and rounding may shift a point on a face.
    for voxel in here ^ sampled:
        gap = np.maximum(np.abs(dense - voxel) - 0.5, 0).max(axis=1).min()
        depth = (0.5 - np.abs(dense - voxel)).min(axis=1).max()
        assert gap < 1e-2
        assert depth < 1e-2


def test_tracks_equal_to_the_truth_have_a_dice_of_one() -> None:
    path = [(f, 503.1 + 30 * f, 401.7 + 20 * f, 908.3 - 25 * f) for f in range(10)]
    truth = truth_of([(f, 3, z, y, x) for f, z, y, x in path])
    tracks = tracks_of([(0, f, z, y, x) for f, z, y, x in path])
    for edge in (10.0, 25.0, 100.0):
        scores = map_dice(tracks, truth, GRID, edge)
        assert (scores.dice, scores.precision, scores.recall) == (1.0, 1.0, 1.0)
    # With every third frame, the straight track is the same line.
    sparse = tracks_of([(0, f, z, y, x) for f, z, y, x in path if f % 3 == 0])
    assert map_dice(sparse, truth, GRID, 25.0).dice == 1.0


def test_half_a_vessel_by_hand() -> None:
    truth = truth_of([(0, 1, 500, 500, 0), (1, 1, 500, 500, 975)])  # 40 voxels of 25 um
    tracks = tracks_of([(0, 0, 500, 500, 0), (0, 1, 500, 500, 475)])  # 20 of them
    scores = map_dice(tracks, truth, GRID, 25.0)
    counts = (scores.n_voxels, scores.n_true_voxels, scores.n_common_voxels)
    assert counts == (20, 40, 20)
    assert (scores.dice, scores.precision, scores.recall) == (2 / 3, 1.0, 0.5)


def test_a_bubble_is_not_drawn_where_the_truth_lacks_it() -> None:
    truth = truth_of([(0, 1, 500, 500, 0), (5, 1, 500, 500, 1900)])
    assert map_dice(tracks_of([]), truth, GRID, 100.0).n_true_voxels == 2


def test_shifted_by_a_voxel_the_maps_have_nothing_in_common() -> None:
    truth = truth_of([(f, 1, 500, 500, 60 * f) for f in range(10)])
    tracks = tracks_of([(1, f, 525, 500, 60 * f) for f in range(10)])
    assert map_dice(tracks, truth, GRID, 25.0).dice == 0.0
    assert map_dice(tracks, truth, GRID, 200.0).dice == 1.0


def test_a_flat_acquisition_is_compared_in_its_plane() -> None:
    truth = truth_of([(f, 1, 500, 70, 60 * f) for f in range(10)])
    tracks = tracks_of([(1, f, 500, 0, 60 * f) for f in range(10)])
    assert map_dice(tracks, truth, FLAT, 25.0).dice == 1.0


def test_no_tracks_and_no_truth() -> None:
    nothing = map_dice(tracks_of([]), truth_of([]), GRID, 25.0)
    assert nothing.n_voxels == nothing.n_true_voxels == 0
    assert np.isnan([nothing.dice, nothing.precision, nothing.recall]).all()


def test_many_trajectories_agree_with_one_at_a_time() -> None:
    rng = np.random.default_rng(4)
    identity, frame = np.repeat(np.arange(50), 6), np.tile(np.arange(6), 50)
    position = rng.uniform(-1, 12, (300, 3))
    order = rng.permutation(300)
    together = occupied_voxels(identity[order], frame[order], position[order], UNIT)
    apart = [
        occupied_voxels(
            identity[identity == k], frame[identity == k], position[identity == k], UNIT
        )
        for k in range(50)
    ]
    np.testing.assert_array_equal(together, np.unique(np.concatenate(apart)))
