"""Compiled centrelines agree with numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from napari_ulm3d.vasculature.measures.centreline import arc_length, resampled, tangents_of


def walk(n: int, seed: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal([3, 2, 1], 4.0, (n, 3)), axis=0)


@pytest.mark.parametrize(
    ("n", "step", "smoothing"), [(40, 3.0, 12.0), (9, 5.0, 60.0), (2, 4.0, 9.0)]
)
def test_resampling_and_smoothing(n: int, step: float, smoothing: float) -> None:
    path = walk(n, n)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    assert arc_length(path) == pytest.approx(arc)
    count = round(arc[-1] / step) + 1
    even = np.stack(
        [np.interp(np.linspace(0, arc[-1], count), arc, path[:, k]) for k in range(3)], 1
    )
    sigma = min(smoothing, arc[-1] / 6) / (arc[-1] / (count - 1))
    chord = np.linspace(even[0], even[-1], count)
    away = even - chord
    odd = np.concatenate([-away[:0:-1], away, -away[-2::-1]])
    expected = chord + gaussian_filter1d(odd, sigma, axis=0)[count - 1 : 2 * count - 1]
    assert resampled(path, step, smoothing) == pytest.approx(expected, abs=1e-9)
    assert resampled(path[::-1], step, smoothing) == pytest.approx(expected[::-1], abs=1e-9)


def test_tangents_of_several_lines() -> None:
    paths = [walk(n, n) for n in (2, 3, 17)]
    expected = []
    for path in paths:
        slope = np.gradient(path, axis=0)
        expected.append(slope / np.linalg.norm(slope, axis=1, keepdims=True))
    assert tangents_of(paths) == pytest.approx(np.concatenate(expected))
