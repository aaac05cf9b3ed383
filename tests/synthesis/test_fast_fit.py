"""The parts of the joint fit that are written for speed, against plain computations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from test_synthesis import CARRIER, FWHM, SHAPE, phases, psf_of, render

from napari_ulm3d.synthesis import windows
from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.clutter import Removal
from napari_ulm3d.synthesis.fit import JointFit
from napari_ulm3d.synthesis.image import BubbleImage
from napari_ulm3d.synthesis.smoothing import expected

Floats = NDArray[np.float64]

HALF = np.array([2, 3, 3])
PLACES = [(8.3, 7.6, 8.1), (0.2, 15.4, 7.5), (-0.5, 0.1, 15.5), (17.2, 3.49, 0.0)]


def dense(place: tuple[float, float, float]) -> NDArray[np.complex128]:
    """The image, only in its window, in a whole frame."""
    frame = np.zeros(1, np.int64)
    out = render(frame, np.array([place]), np.ones(1, complex), 1)[0].astype(complex)
    for axis, (at, half) in enumerate(zip(place, HALF, strict=True)):
        far = np.abs(np.arange(SHAPE[axis]) - np.rint(at)) > half
        out[(slice(None),) * axis + (far,)] = 0
    return out


def slope(axis: int, place: tuple[float, float, float]) -> NDArray[np.complex128]:
    """Derivative of the image's profile along one axis by its argument."""
    d = (np.arange(SHAPE[axis]) - place[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
    s = FWHM[axis] / 2.3548
    return np.asarray(dense(place) * (-d / s**2 + (1j * CARRIER if axis == 0 else 0)))


def window_of(place: tuple[float, float, float]) -> tuple[NDArray[np.generic], ...]:
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    g, gd = np.zeros((3, 7), np.complex64), np.zeros((3, 7), np.complex64)
    table, change = BubbleImage.gaussian(psf_of()).tables(5)
    sums = np.zeros((3, 3), np.complex128)
    windows.window(
        np.array(SHAPE), np.array(place), HALF, table, change, low, size, g, gd, sums
    )  # fmt: skip
    return low, size, g, gd


@pytest.mark.parametrize("place", PLACES)
def test_inner_products_are_those_of_whole_frames(place: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    frame = (rng.normal(size=(*SHAPE, 2)) @ np.array([1, 1j])).astype(np.complex64)
    low, size, g, gd = window_of(place)
    rows = np.zeros((4, 14), np.float32)
    found = windows.project(frame.view(np.float32), low, size, g, gd, rows)
    wanted = [np.vdot(dense(place), frame), *(np.vdot(slope(a, place), frame) for a in range(3))]
    np.testing.assert_allclose(found, wanted, atol=5e-3)
    power = windows.power(frame.view(np.float32), np.array(place), HALF)
    np.testing.assert_allclose(power, np.mean(np.abs(frame[dense(place) != 0]) ** 2), rtol=1e-5)


@pytest.mark.parametrize("to", [(8.4, 7.5, 8.2), (8.6, 7.2, 8.1), (8.3, 9.8, 6.1)])
def test_an_image_is_replaced_by_another(to: tuple[float, float, float]) -> None:
    frame = np.zeros(SHAPE, np.complex64)
    place = PLACES[0]
    low, size, g, _ = window_of(place)
    to_low, to_size, to_g, _ = window_of(to)
    rows = np.zeros((4, 14), np.float32)
    view = frame.view(np.float32)
    windows.swap(view, 2 - 1j, low, size, g, 0.5j, to_low, to_size, to_g, rows)
    np.testing.assert_allclose(frame, (2 - 1j) * dense(place) - 0.5j * dense(to), atol=2e-3)
    shared = windows.overlap(low, size, g, to_low, to_size, to_g)
    np.testing.assert_allclose(shared, np.vdot(dense(to), dense(place)), rtol=2e-3)


def test_the_rest_of_a_track_expects_what_a_general_solver_does() -> None:
    """Each row's own data left out, the others solved with all second differences."""
    rng = np.random.default_rng(1)
    jerk = np.array([0.1, 0.2, 0.5])
    lengths = [3, 1, 4, 9, 30]
    n = sum(lengths)
    before, after = np.arange(-1, n - 1), np.arange(1, n + 1)
    ends = np.cumsum(lengths)
    before[0], before[ends[:-1]], after[ends - 1] = -1, -1, -1
    seen, known = rng.normal(size=(n, 3)), rng.uniform(1, 100, (n, 3))
    mean, hold = np.zeros((n, 3)), np.ones((n, 3))
    expected(before, after, seen, known, jerk, mean, hold)
    for end, length in zip(ends, lengths, strict=True):
        rows = np.arange(end - length, end)
        if length < 3:
            assert (hold[rows] == 0).all()
            continue
        second = np.diff(np.eye(length), 2, axis=0)
        for axis in range(3):
            for k, row in enumerate(rows):
                others = known[rows, axis].copy()
                others[k] = 0
                inverse = np.linalg.inv(second.T @ second / jerk[axis] ** 2 + np.diag(others))
                place = inverse @ (others * seen[rows, axis])
                np.testing.assert_allclose(hold[row, axis], 1 / inverse[k, k], rtol=1e-3)
                np.testing.assert_allclose(mean[row, axis], place[k], atol=1e-3)


def test_rows_whose_frames_say_nothing_are_expected_by_the_others() -> None:
    before, after = np.arange(-1, 4), np.array([1, 2, 3, 4, -1])
    seen, known = np.zeros((5, 3)), np.zeros((5, 3))
    seen[:, 0] = [0.0, 9.0, 2.0, 9.0, 4.0]
    known[[0, 2, 4]] = 1e4
    mean, hold = np.zeros((5, 3)), np.zeros((5, 3))
    expected(before, after, seen, known, np.full(3, 0.01), mean, hold)
    np.testing.assert_allclose(mean[[1, 3], 0], [1.0, 3.0], atol=1e-2)
    known[:] = 0
    expected(before, after, seen, known, np.full(3, 0.01), mean, hold)
    assert np.isfinite(mean).all()
    assert np.isfinite(hold).all()


def test_the_projection_is_that_of_the_whole_block() -> None:
    rng = np.random.default_rng(2)
    n_frames = 40
    basis = np.linalg.qr(rng.normal(size=(n_frames, 3)) + 1j * rng.normal(size=(n_frames, 3)))[0]
    left = np.zeros((n_frames, *SHAPE), np.complex64)
    left[:, 6:11, 5:12, 4:11] = rng.normal(size=(n_frames, 5, 7, 7))
    left[:, :3, 12:, 13:] = 1j
    flat = left.reshape(n_frames, -1)
    wanted = (flat - basis @ (basis.conj().T @ flat)).reshape(left.shape)
    removal = Removal(basis, SHAPE)
    removal.subtract(left, np.array([[8.3, 7.6, 7.1], [0.2, 15.4, 15.5]]), HALF)
    np.testing.assert_allclose(left, wanted, atol=1e-5)
    removal.restart()
    removal.subtract(left, np.empty((0, 3)), HALF)
    np.testing.assert_allclose(left, wanted, atol=1e-5)


def test_a_track_moves_as_a_whole_in_a_few_sweeps() -> None:
    """A stiff track started beside its bubbles: steps of single positions would not get there."""
    n = 40
    t = np.arange(n)
    place = np.column_stack([4 + 0.2 * t, 7.5 + 0 * t, 8 + 0.05 * t])
    frames = render(t, place, phases(n), n, noise=0.05)
    bubbles = Bubbles(t, place + 0.4, np.zeros(n, np.complex128), n)
    bubbles.before, bubbles.after = t - 1, np.append(t[1:], -1)
    fit = JointFit(frames, BubbleImage.gaussian(psf_of()), 0.05, np.full(3, 0.01))
    fit.restart(bubbles)
    fit.sweep(bubbles, 8)
    assert np.abs(bubbles.place - place).max() < 0.05
