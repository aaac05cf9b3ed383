"""Grouping of predictions to bubbles in manual cases."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.networks.bubblenet_peaks import BubblePredictions, find_peaks

RADIUS = (0.5, 0.5, 0.5)


def predicted(rows, sigma=0.1) -> BubblePredictions:
    """Build from (frame, probability, z, y, x) rows."""
    table = np.array(rows, float).reshape(-1, 5)
    n = len(table)
    return BubblePredictions(
        frame=table[:, 0].astype(np.int64),
        probability=table[:, 1],
        position=table[:, 2:],
        sigma=np.broadcast_to(np.asarray(sigma, float).reshape(-1, 1), (n, 3)).copy(),
        velocity=np.tile(table[:, 2:3], 3),
        level=table[:, 1],
    )


def test_two_halves_of_a_bubble_become_one():
    found = find_peaks(predicted([(0, 0.5, 1.0, 2, 3), (0, 0.4, 1.2, 2, 3)]), RADIUS, 0.6)
    assert found.probability == pytest.approx([0.9])
    # Weighted by probability, the variances being equal.
    assert found.position[0] == pytest.approx([(0.5 * 1.0 + 0.4 * 1.2) / 0.9, 2, 3])
    spread = 0.5 * 0.4 / 0.9**2 * 0.2**2
    assert found.sigma[0] == pytest.approx([np.sqrt(0.01 + spread), 0.1, 0.1])


def test_the_surer_voxel_weighs_more():
    found = find_peaks(
        predicted([(0, 0.5, 0.0, 0, 0), (0, 0.5, 0.3, 0, 0)], sigma=[0.1, 0.2]), RADIUS, 0.5
    )
    assert found.position[0, 0] == pytest.approx(0.3 * 25 / 125)


def test_two_bubbles_in_one_psf_stay_two():
    found = find_peaks(predicted([(0, 0.9, 0, 0, 0), (0, 0.8, 0, 0, 0.6)]), RADIUS, 0.5)
    assert found.probability == pytest.approx([0.9, 0.8])
    assert found.position[:, 2] == pytest.approx([0, 0.6])


def test_the_radius_is_by_axis():
    rows = [(0, 0.9, 0, 0, 0), (0, 0.8, 0.6, 0, 0)]
    assert len(find_peaks(predicted(rows), (1.0, 0.5, 0.5), 0.5)) == 1
    assert len(find_peaks(predicted(rows), (0.5, 1.0, 1.0), 0.5)) == 2


def test_the_strongest_takes_first_and_chains_do_not_grow():
    # The middle one belongs to the strongest; the last is out of reach of that one.
    rows = [(0, 0.3, 0, 0, 0.4), (0, 0.9, 0, 0, 0), (0, 0.6, 0, 0, 0.8)]
    found = find_peaks(predicted(rows), RADIUS, 0.5)
    assert found.probability == pytest.approx([1.0, 0.6])  # 1.2 is limited to 1


def test_frames_do_not_meet_and_come_in_order():
    found = find_peaks(
        predicted([(3, 0.4, 0, 0, 0), (4, 0.6, 0, 0, 0), (4, 0.7, 3, 0, 0)]), RADIUS, 0.3
    )
    assert found.frame.tolist() == [3, 4, 4]
    assert found.probability == pytest.approx([0.4, 0.7, 0.6])


def test_weak_ones_are_left_out_after_adding_up():
    rows = [(0, 0.2, 0, 0, 0), (0, 0.2, 0, 0, 0.1), (0, 0.3, 5, 5, 5)]
    found = find_peaks(predicted(rows), RADIUS, 0.35)
    assert found.probability == pytest.approx([0.4])


def test_flat_axes_have_no_reach():
    found = find_peaks(
        predicted([(0, 0.5, 1, -0.4, 3), (0, 0.4, 1, 0.9, 3)]), (0.5, np.inf, 0.5), 0.5
    )
    assert len(found) == 1


def test_nothing():
    assert len(find_peaks(predicted([]), RADIUS, 0.5)) == 0
