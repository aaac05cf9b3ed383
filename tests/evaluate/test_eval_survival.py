"""Bubbles that survive sparsification, compared with a plain search over all kept voxels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import Truth, bubbles_kept, survival
from napari_ulm3d.sparse_frames import SparseFrames

GRID = Grid((12, 9, 10), (100.0, 150.0, 150.0), (40.0, -20.0, 0.0))


def truth_of(frames: list[int], positions_um: np.ndarray) -> Truth:
    table = pd.DataFrame(positions_um, columns=["z_um", "y_um", "x_um"])
    table.insert(0, "frame", frames)
    table.insert(1, "bubble_id", np.arange(len(table)))
    return Truth(table)


def test_a_plain_search_of_all_voxels_says_the_same() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(GRID.shape) < 0.03
    low = np.asarray(GRID.origin_um) - 200
    positions = low + rng.random((400, 3)) * (np.asarray(GRID.extent_um) + 400)
    found = bubbles_kept(mask, positions, GRID)
    voxels = np.argwhere(mask)
    place = (positions - GRID.origin_um) / GRID.spacing_um
    expected = [(np.abs(voxels - p).max(axis=1) <= 1).any() for p in place]
    np.testing.assert_array_equal(found, expected)
    assert 0.05 < found.mean() < 0.9


def test_the_share_is_over_the_bubbles_in_view_of_the_frames_given() -> None:
    mask = np.zeros((3, *GRID.shape), bool)
    mask[0, 5, 5, 5] = mask[2, 2, 2, 2] = True
    kept = SparseFrames.from_mask(np.ones(mask.shape, np.complex64), mask, first_frame=10)
    at = GRID.to_um(np.array([[5.9, 5, 5], [7.1, 5, 5], [2, 2.5, 2], [2, 2, 2], [50, 2, 2.0]]))
    # Next to a kept voxel; too far; in frame 12; in frame 11, which has no kept voxel; out of view.
    truth = truth_of([10, 10, 12, 11, 12], at)
    assert survival(kept, truth, GRID) == pytest.approx(2 / 4)


def test_flat_data_have_no_y_to_be_far_along() -> None:
    grid = Grid((6, 1, 6), (100.0, 400.0, 100.0))
    mask = np.zeros(grid.shape, bool)
    mask[3, 0, 3] = True
    positions = np.array([[300.0, 900.0, 350.0], [300.0, 0.0, 510.0]])
    np.testing.assert_array_equal(bubbles_kept(mask, positions, grid), [True, False])


def test_a_truth_without_bubbles_in_view_is_refused() -> None:
    kept = SparseFrames.from_mask(np.ones((1, *GRID.shape)), np.ones((1, *GRID.shape), bool))
    with pytest.raises(ConfigError, match="no bubble in view"):
        survival(kept, truth_of([3], np.array([[100.0, 100, 100]])), GRID)
