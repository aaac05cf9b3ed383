"""Assignment of voxels to bubbles in manual cases; mirrored windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.networks.bubblenet_input import BubbleInput
from napari_ulm3d.train.bubbles.targets import Bubbles, make_targets, true_bubbles
from napari_ulm3d.train.bubbles.windows import flipped

SHAPE = (4, 8, 8, 8)


def bubbles(*rows) -> Bubbles:
    """Build from (t, z, y, x) rows."""
    table = np.array(rows, float).reshape(-1, 4)
    n = len(table)
    return Bubbles(
        table[:, 0].astype(np.int64),
        table[:, 1:],
        np.arange(3 * n, dtype=np.float32).reshape(n, 3),
        np.ones(n, np.float32),
    )


def voxels(*rows):
    return np.array(rows, np.int32).reshape(-1, 4)


def test_a_bubble_takes_its_nearest_voxel():
    targets = make_targets(
        voxels((0, 2, 2, 2), (0, 2, 2, 3), (1, 2, 2, 2)), SHAPE, bubbles((0, 2.1, 2, 2.7))
    )
    assert targets.voxel.tolist() == [1]
    assert targets.near[0, :3].tolist() == [1, 0, -1]
    np.testing.assert_allclose(targets.offset[0, :2], [[0.1, 0, -0.3], [0.1, 0, 0.7]], atol=1e-6)


def test_two_bubbles_in_one_voxel_come_apart():
    kept = voxels((0, 2, 2, 2), (0, 2, 2, 3))
    # Both are nearest to row 0; the one at 2.1 is nearer and gets it.
    targets = make_targets(kept, SHAPE, bubbles((0, 2, 2, 2.3), (0, 2, 2, 2.1)))
    assert targets.voxel.tolist() == [1, 0]


def test_without_a_free_voxel_a_bubble_has_none():
    targets = make_targets(voxels((0, 2, 2, 2)), SHAPE, bubbles((0, 2, 2, 2.3), (0, 2, 2, 2.1)))
    assert targets.voxel.tolist() == [-1, 0]
    assert targets.near[:, 0].tolist() == [0, 0]


def test_bubbles_out_of_reach_or_in_another_frame_are_left_out():
    targets = make_targets(
        voxels((0, 2, 2, 2)), SHAPE, bubbles((0, 2, 2, 4), (1, 2, 2, 2), (0, 2, 2, 3.4)), reach=1.5
    )
    assert len(targets) == 1
    np.testing.assert_allclose(targets.offset[0, 0], [0, 0, 1.4], atol=1e-6)
    assert targets.velocity.tolist() == [[6, 7, 8]]


def test_flat_data_ignore_y():
    targets = make_targets(voxels((0, 2, 0, 2)), (4, 8, 1, 8), bubbles((0, 2.2, 0.45, 2)))
    assert targets.axes.tolist() == [True, False, True]
    np.testing.assert_allclose(targets.offset[0, 0], [0.2, 0, 0], atol=1e-6)


@pytest.mark.parametrize(("kept", "true"), [((), ((0, 1, 1, 1),)), (((0, 1, 1, 1),), ())])
def test_nothing_to_assign(kept, true):
    assert len(make_targets(voxels(*kept), SHAPE, bubbles(*true))) == 0


def test_truth_in_voxels_and_frames():
    grid = Grid((10, 10, 10), (100.0, 200.0, 50.0), (5.0, 0.0, 0.0))
    truth = pd.DataFrame(
        {
            "frame": [7], "z_um": [105.0], "y_um": [300.0], "x_um": [0.0],
            "vz_mm_s": [10.0], "vy_mm_s": [-4.0], "vx_mm_s": [0.0], "snr_db": [20.0],
        }
    )  # fmt: skip
    found = true_bubbles(truth, grid, rate_hz=200.0)
    np.testing.assert_allclose(found.position, [[1.0, 1.5, 0.0]])
    # 10 mm/s at 200 Hz is 50 um per frame.
    np.testing.assert_allclose(found.velocity, [[0.5, -0.1, 0.0]], atol=1e-6)
    np.testing.assert_allclose(found.level, [1.0])


def test_a_window_mirrored_twice_is_itself():
    rng = np.random.default_rng(0)
    coordinates = np.argwhere(rng.random(SHAPE) < 0.1).astype(np.int32)
    values = (rng.normal(size=(len(coordinates), 2)) @ [1, 1j]).astype(np.complex64)
    block = BubbleInput(coordinates, values, 2 * values, SHAPE, (2, 2, 2))
    true = bubbles((0, 1.2, 2.3, 3.4), (3, 5, 6, 6.5))
    for axes in ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]):
        axes = np.array(axes, bool)
        once = flipped(block, true, axes)
        twice = flipped(*once, axes)
        np.testing.assert_array_equal(twice[0].coordinates, block.coordinates)
        np.testing.assert_array_equal(twice[0].correlation, block.correlation)
        np.testing.assert_allclose(twice[1].position, true.position)
        np.testing.assert_allclose(twice[1].velocity, true.velocity)
        # A bubble keeps its voxels.
        before, after = (
            make_targets(coordinates, SHAPE, true),
            make_targets(once[0].coordinates, SHAPE, once[1]),
        )
        np.testing.assert_allclose(np.abs(before.offset), np.abs(after.offset), atol=1e-5)


def test_time_reversed_turns_velocities():
    block = BubbleInput(
        voxels((0, 1, 1, 1)), np.ones(1, np.complex64), np.ones(1, np.complex64), SHAPE, (2, 2, 2)
    )
    _, true = flipped(block, bubbles((0, 1, 1, 1), (1, 1, 1, 2)), np.array([1, 0, 0, 0], bool))
    assert true.frame.tolist() == [3, 2]
    np.testing.assert_allclose(true.velocity[1], [-3, -4, -5])


def test_two_bubbles_stay_in_a_voxel_that_may_have_two():
    kept = voxels((0, 2, 2, 2), (0, 2, 2, 3))
    three = bubbles((0, 2, 2, 2.3), (0, 2, 2, 2.1), (0, 2, 2, 2.4))
    three.level[:] = [0.5, 0.9, 2.0]
    targets = make_targets(kept, SHAPE, three, per_voxel=2)
    # The two nearest stay, the brighter one in the first row; the third takes the next voxel.
    assert targets.voxel.tolist() == [1, 0, 2]
    assert targets.near[0, :5].tolist() == [0, 1, 2, 3, -1]
    offsets = [[0, 0, 0.3], [0, 0, 0.3], [0, 0, -0.7], [0, 0, -0.7]]
    np.testing.assert_allclose(targets.offset[0, :4], offsets, atol=1e-6)


def test_rows_of_bubbles_without_noise_or_voxel():
    kept = voxels((0, 2, 2, 2))
    three = bubbles((0, 2, 2, 2.3), (0, 2, 2, 2.1), (0, 2, 2, 2.4))
    three.level[:] = np.nan
    targets = make_targets(kept, SHAPE, three, per_voxel=2)
    assert sorted(targets.voxel.tolist()) == [-1, 0, 1]
    assert targets.voxel[2] == -1
