"""Soft Dice and its targets, compared with manual results."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.sparse_deepstulm import TrajectoryPrediction
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.trajectory.dice_loss import (
    soft_dice,
    sparse_soft_dice,
    trajectory_loss,
    trajectory_target,
)
from napari_ulm3d.train.trajectory.targets import (
    Trajectories,
    bubble_mask,
    sample_trajectories,
    trajectory_volume,
)

GRID = Grid((4, 1, 6), (100.0, 50.0, 50.0), (1000.0, 0.0, -200.0))


def truth_of(rows):
    return pd.DataFrame(rows, columns=["frame", "bubble_id", "z_um", "y_um", "x_um"])


def test_soft_dice_by_hand():
    p = torch.tensor([[0.5, 1.0, 0.0, 0.25]])
    g = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    # overlap 1.5, sums 1.75 and 2: 1 - 2 * 1.5 / 3.75 = 0.2
    assert soft_dice(p, g, smooth=0.0).item() == pytest.approx(0.2)
    # with s = 1: 1 - 4 / 4.75
    assert soft_dice(p, g).item() == pytest.approx(1 - 4 / 4.75)


def test_soft_dice_is_the_mean_over_samples():
    p = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    g = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert soft_dice(p, g, smooth=0.0).item() == pytest.approx(0.5)


def test_nothing_predicted_of_nothing_is_right():
    zero = torch.zeros(1, 5)
    assert soft_dice(zero, zero).item() == 0
    assert soft_dice(zero + 1, zero).item() == pytest.approx(1 - 1 / 6)


def test_dice_needs_one_grid():
    with pytest.raises(ConfigError, match="grid of the prediction"):
        soft_dice(torch.zeros(1, 5), torch.zeros(1, 4))
    x = SparseTensor.create(torch.tensor([[0, 1, 1]]), torch.ones(1, 1), (3, 3))
    other = Coordinates.create(torch.tensor([[0, 1, 1]]), (3, 4))[0]
    with pytest.raises(ConfigError, match="grid of the prediction"):
        sparse_soft_dice(x, other)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.6), st.floats(0, 0.6))
def test_sparse_dice_is_the_dense_one(seed, occupancy, share):
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 2, 4, 5)
    indices = (torch.rand(shape, generator=generator) < occupancy).nonzero()
    true = (torch.rand(shape, generator=generator) < share).nonzero()
    features = torch.rand(len(indices), 1, generator=generator, dtype=torch.float64)
    x = SparseTensor.create(indices, features.requires_grad_(), shape[1:], shape[0])
    target = Coordinates.create(true, shape[1:], shape[0])[0]
    dense = x.dense()[:, 0]
    wanted = torch.zeros(shape, dtype=torch.float64)
    wanted[tuple(true.T)] = 1
    ours, theirs = sparse_soft_dice(x, target), soft_dice(dense, wanted)
    torch.testing.assert_close(ours, theirs)
    a = torch.autograd.grad(ours, features, retain_graph=True)[0]
    torch.testing.assert_close(a, torch.autograd.grad(theirs, features)[0])


def test_positions_fall_into_the_voxels_they_lie_in():
    # z 1000 um is the centre of voxel 0: at x2 it is the border of fine voxels 0 and 1.
    # x -200 + 2 * 50 + 20 lies 0.9 into voxel 2, in fine voxel 5.
    truth = truth_of([(7, 1, 1000.0, 0.0, -80.0), (9, 2, 1330.0, 0.0, -224.9)])
    window = sample_trajectories(truth, GRID, 5, 8, upsampling=2, flat=True)
    volume = trajectory_volume(window, upsampling=2)
    assert volume.shape == (1, 8, 12)
    assert np.argwhere(volume).tolist() == [[0, 1, 5], [0, 7, 0]]
    with_y = sample_trajectories(truth, GRID, 5, 8, upsampling=2)
    assert trajectory_volume(with_y, 2).shape == (1, 8, 2, 12)


def test_time_bins_are_those_of_the_stride():
    truth = truth_of([(f, f, 1000.0, 0.0, -200.0 + 50 * f) for f in (0, 3, 4, 5)])
    window = sample_trajectories(truth, GRID, 0, 6, flat=True)
    volume = trajectory_volume(window, upsampling=1, time_stride=4)
    assert np.argwhere(volume).tolist() == [[0, 0, 0], [0, 0, 3], [1, 0, 4], [1, 0, 5]]


def test_a_gap_in_time_or_another_bubble_is_not_joined():
    z, x = 1000.0, -200.0
    joined = truth_of([(0, 1, z, 0, x), (1, 1, z, 0, x + 200)])
    gap = truth_of([(0, 1, z, 0, x), (2, 1, z, 0, x + 200)])
    two = truth_of([(0, 1, z, 0, x), (1, 2, z, 0, x + 200)])

    def filled(truth):
        return int(trajectory_volume(sample_trajectories(truth, GRID, 0, 4, flat=True), 8).sum())

    assert [filled(joined), filled(gap), filled(two)] == [33, 2, 2]


def test_frames_and_positions_outside_are_left_out():
    truth = truth_of([(4, 1, 1000.0, 0, -200.0), (5, 1, 5000.0, 0, 0.0), (6, 2, 1100.0, 0, 0.0)])
    window = sample_trajectories(truth, GRID, 6, 2, flat=True)
    assert np.argwhere(trajectory_volume(window, 1)).tolist() == [[0, 1, 4]]
    nothing = sample_trajectories(truth_of([]), GRID, 0, 3, flat=True)
    assert not trajectory_volume(nothing, 4).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_fast_bubble_leaves_no_gaps_and_scales_nest(seed):
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-180, 180, (6, 3))
    positions = np.array([500.0, 500.0, 500.0]) + np.cumsum(steps, axis=0)
    positions = np.clip(positions, 1, 999)
    truth = truth_of([(f, 1, *p) for f, p in enumerate(positions)])
    grid = Grid((10, 10, 10), (100.0, 100.0, 100.0), (50.0, 50.0, 50.0))
    window = sample_trajectories(truth.sample(frac=1, random_state=seed), grid, 0, 6)
    fine = trajectory_volume(window, 8)[0]
    assert ndimage.label(fine, np.ones((3, 3, 3)))[1] == 1
    coarse = trajectory_volume(window, 2)[0]
    pooled = fine.reshape(20, 4, 20, 4, 20, 4).any(axis=(1, 3, 5))
    assert np.array_equal(coarse, pooled)


def test_bad_truth_is_named():
    with pytest.raises(ConfigError, match="bubble_id"):
        sample_trajectories(truth_of([]).drop(columns="bubble_id"), GRID, 0, 3)
    with pytest.raises(ConfigError, match="not 2-D"):
        sample_trajectories(truth_of([]), Grid((2, 2, 2), (1.0, 1.0, 1.0)), 0, 3, flat=True)
    with pytest.raises(ConfigError, match="empty"):
        sample_trajectories(truth_of([]), GRID, 0, 0)
    with pytest.raises(ConfigError, match="stride"):
        Trajectories(np.zeros((0, 3)), (4, 4, 6)).voxels((1, 1))


def test_a_bubble_mask_is_a_box_in_each_frame():
    truth = truth_of([(2, 1, 1100.0, 0, -100.0), (3, 1, 1300.0, 0, 50.0), (9, 1, 1000.0, 0, 0)])
    mask = bubble_mask(truth, GRID, 2, 3, radius=(1, 1, 0))
    assert mask.shape == (3, 4, 1, 6)
    wanted = [[0, z, 0, 2] for z in (0, 1, 2)] + [[1, z, 0, 5] for z in (2, 3)]
    assert np.argwhere(mask).tolist() == wanted


def prediction_at(stride, shape, values, batch=1):
    indices = torch.tensor([[0, *at] for at in values])
    features = torch.tensor(list(values.values()), dtype=torch.float64)[:, None]
    return SparseTensor.create(indices, features, shape, batch, stride)


def test_targets_have_the_time_stride_of_the_head_they_judge():
    # A bubble in frame 100 is in the first step of 128 frames, and would be in the second of 64.
    truth = truth_of([(100, 1, 1000.0, 0, -200.0), (130, 2, 1000.0, 0, -150.0)])
    window = sample_trajectories(truth, GRID, 0, 256, flat=True)
    head = prediction_at((128, 1, 1), (2, 4, 6), {(0, 0, 0): 1.0, (1, 0, 1): 1.0})
    target = trajectory_target([window], head)
    assert target.indices.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1]]
    assert sparse_soft_dice(head, target).item() == 0
    finer = prediction_at((64, 1, 1), (4, 4, 6), {(0, 0, 0): 1.0})
    assert trajectory_target([window], finer).indices[:, 1].tolist() == [1, 2]


def test_deep_supervision_is_the_mean_over_the_scales():
    truth = truth_of([(0, 1, 1000.0, 0, -200.0)])
    window = sample_trajectories(truth, GRID, 0, 4, flat=True)
    # voxel (0, 0) at x1; at x2 the bubble, in the middle of its voxel, is in (1, 1).
    head = prediction_at((4, 1, 1), (1, 4, 6), {(0, 0, 0): 0.5})
    half = Fraction(1, 2)
    output = prediction_at((4, half, half), (1, 8, 12), {(0, 0, 0): 1.0, (0, 1, 1): 1.0})
    loss, parts = trajectory_loss(TrajectoryPrediction(output, (head,)), [window])
    assert parts == pytest.approx((1 - 2 / 2.5, 1 - 3 / 4))
    assert loss.item() == pytest.approx(np.mean(parts))


def test_truth_of_another_window_is_refused():
    head = prediction_at((4, 1, 1), (1, 4, 6), {(0, 0, 0): 0.5})
    other = sample_trajectories(truth_of([]), GRID, 0, 8, flat=True)
    with pytest.raises(ConfigError, match="does not match"):
        trajectory_target([other], head)
    with pytest.raises(ConfigError, match="batch of 1"):
        trajectory_target([other, other], head)
