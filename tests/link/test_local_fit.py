"""Local regression along tracks against numpy's weighted polynomial fit."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.link.local_fit import local_parabolas


def speeds(path: np.ndarray) -> np.ndarray:
    """Mean speed over ten frames to either side."""
    n = len(path)
    low, high = np.maximum(np.arange(n) - 10, 0), np.minimum(np.arange(n) + 10, n - 1)
    return np.linalg.norm(path[high] - path[low], axis=1) / (high - low)


def test_it_is_the_weighted_parabola_of_numpy() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(60.0)
    path = np.column_stack([0.3 * t, 5 * np.sin(t / 9), 0.01 * t**2]) + rng.normal(0, 0.1, (60, 3))
    found = local_parabolas(path, np.array([0, 60]), 1.5)
    speed = speeds(path)
    for i in (0, 1, 17, 40, 59):
        width = np.clip(1.5 / speed[i], 1, 60)
        reach = int(np.ceil(3 * width))
        rows = np.arange(max(0, i - reach), min(60, i + reach + 1))
        weights = np.exp(-0.25 * ((rows - i) / width) ** 2)  # polyfit squares its weights
        wanted = [
            np.polyval(np.polyfit(rows - i, path[rows, k], 2, w=weights), 0) for k in range(3)
        ]
        assert found[i] == pytest.approx(wanted, abs=1e-9)


def test_a_parabola_is_unchanged_and_tracks_do_not_mix() -> None:
    t = np.arange(40.0)
    one = np.column_stack([t, 0.02 * t**2, 3 - t])
    other = one[::-1] + 100
    both = np.concatenate([one, other])
    found = local_parabolas(both, np.array([0, 40, 80]), 4.0)
    np.testing.assert_allclose(found, both, atol=1e-8)
    alone = local_parabolas(one, np.array([0, 40]), 4.0)
    np.testing.assert_array_equal(found[:40], alone)


def test_a_slow_bubble_is_averaged_over_more_frames_than_a_fast_one() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, (300, 3))
    errors = []
    for speed in (0.05, 5.0):
        path = np.zeros((300, 3))
        path[:, 0] = speed * np.arange(300)
        found = local_parabolas(path + noise, np.array([0, 300]), 10.0)
        errors.append(np.sqrt(np.mean((found - path)[:, 1:] ** 2)))
    slow, fast = errors
    assert slow < 0.3 < 0.5 < fast


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tracks_too_short_for_a_parabola_are_unchanged(n: int) -> None:
    path = np.random.default_rng(2).normal(size=(n, 3))
    np.testing.assert_array_equal(local_parabolas(path, np.array([0, n]), 3.0), path)


def test_a_bubble_at_rest_is_averaged() -> None:
    path = np.tile([1.0, 2.0, 3.0], (50, 1))
    np.testing.assert_allclose(local_parabolas(path, np.array([0, 50]), 3.0), path)
