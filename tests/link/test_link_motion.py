"""Gap filling, smoothing and velocities compared with manual results and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.link.motion import fill_gaps, smooth_and_differentiate


def smooth(x: list[float], window: int):
    position = np.zeros((len(x), 3))
    position[:, 2] = x
    smoothed, velocity = smooth_and_differentiate(position, np.array([0, len(x)]), window, 0.5)
    assert not smoothed[:, :2].any()
    assert not velocity[:, :2].any()
    return smoothed[:, 2], velocity[:, 2]


def test_manual_result() -> None:
    """MATLAB: smooth([0 3 0 10 0 5 1], 5) = [0 1 2.6 3.6 3.2 2 1]."""
    smoothed, velocity = smooth([0, 3, 0, 10, 0, 5, 1], 5)
    np.testing.assert_allclose(smoothed, [0, 1, 2.6, 3.6, 3.2, 2, 1], atol=1e-12)
    # Central differences over 2 x 0.5 s, one-sided over 0.5 s at the ends.
    np.testing.assert_allclose(velocity, [2, 2.6, 2.6, 0.6, -1.6, -2.2, -2], atol=1e-12)


def test_an_even_window_is_reduced_by_one() -> None:
    x = np.random.default_rng(0).normal(size=20).tolist()
    np.testing.assert_array_equal(smooth(x, 6)[0], smooth(x, 5)[0])
    np.testing.assert_array_equal(smooth(x, 2)[0], x)


def test_a_window_longer_than_the_track() -> None:
    np.testing.assert_allclose(smooth([0, 9, 0], 99)[0], [0, 3, 0])


@given(st.integers(2, 40), st.sampled_from([1, 3, 5, 9, 21]), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_against_numpy(n: int, window: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=n)
    expected = []
    for i in range(n):
        reach = min(window // 2, i, n - 1 - i)
        expected.append(np.mean(x[i - reach : i + reach + 1]))
    smoothed, velocity = smooth(x.tolist(), window)
    np.testing.assert_allclose(smoothed, expected, atol=1e-12)
    np.testing.assert_allclose(velocity, np.gradient(smoothed, 0.5), atol=1e-11)


def test_tracks_do_not_mix() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(n, 3)) for n in (2, 7, 1, 12)]
    first = np.cumsum([0, 2, 7, 1, 12])
    smoothed, velocity = smooth_and_differentiate(np.concatenate(parts), first, 5, 0.1)
    for part, start in zip(parts, first[:-1], strict=True):
        alone = smooth_and_differentiate(part, np.array([0, len(part)]), 5, 0.1)
        np.testing.assert_array_equal(smoothed[start : start + len(part)], alone[0])
        np.testing.assert_array_equal(velocity[start : start + len(part)], alone[1])


def test_gaps_are_interpolated_linearly() -> None:
    rows = np.array([[3, 0.0, 1.0], [5, 4.0, 0.0], [6, 5.0, 0.5], [0, 7.0, 0.0], [4, 3.0, 1.0]])
    filled, first = fill_gaps(rows, np.array([0, 3, 5]))
    assert first.tolist() == [0, 4, 9]
    np.testing.assert_allclose(
        filled,
        [
            [3, 0, 1],
            [4, 2, 0.5],
            [5, 4, 0],
            [6, 5, 0.5],
            [0, 7, 0],
            [1, 6, 0.25],
            [2, 5, 0.5],
            [3, 4, 0.75],
            [4, 3, 1],
        ],
    )


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30, unique=True))
@settings(max_examples=50, deadline=None)
def test_filling_agrees_with_numpy_interp(frames: list[int]) -> None:
    frame = np.array(sorted(frames), float)
    x = np.sin(frame)
    filled, first = fill_gaps(np.column_stack((frame, x)), np.array([0, len(frame)]))
    every = np.arange(frame[0], frame[-1] + 1)
    assert first.tolist() == [0, len(every)]
    np.testing.assert_array_equal(filled[:, 0], every)
    np.testing.assert_allclose(filled[:, 1], np.interp(every, frame, x), atol=1e-12)
    assert filled[np.isin(every, frame), 1] == pytest.approx(x, abs=0)
