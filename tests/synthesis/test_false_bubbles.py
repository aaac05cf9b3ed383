"""What is no bubble: maxima of grained noise, and speckle of tissue that moves for a moment."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from test_synthesis import (
    SHAPE,
    hits,
    localizations,
    phases,
    psf_of,
    refined,
    render,
)

from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.fit import JointFit
from napari_ulm3d.synthesis.image import BubbleImage
from napari_ulm3d.synthesis.noise import relative_noise
from napari_ulm3d.synthesis.selection import still_like_tissue

Frames = NDArray[np.complex64]


def noise(n_frames: int, grain: float, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Frames:
    """Complex noise of power 0.01, smoothed along z and x by so many voxels."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(2, n_frames, *shape))
    if grain:
        parts = gaussian_filter(parts, (0, 0, grain, 0, grain))
    out = parts[0] + 1j * parts[1]
    return (0.1 * out / np.sqrt((np.abs(out) ** 2).mean())).astype(np.complex64)


def fit_of(frames: Frames, removed: NDArray[np.complex64] | None = None) -> JointFit:
    return JointFit(frames, BubbleImage.gaussian(psf_of()), 0.1, np.ones(3), removed=removed)


def test_the_grain_is_one_for_white_noise_and_more_where_neighbours_are_alike() -> None:
    assert 1.0 <= fit_of(noise(40, 0.0)).grain() < 1.2
    assert fit_of(noise(40, 0.7)).grain() > 1.6
    masked = noise(40, 0.0)
    masked[:, :, :8] = 0
    assert 1.0 <= fit_of(masked).grain() < 1.4
    assert fit_of(np.zeros((3, *SHAPE), np.complex64)).grain() == 1.0


def test_noise_raises_the_least_energy_less_than_what_stays() -> None:
    assert 1.0 <= fit_of(noise(40, 0.0)).raised() < 1.2
    grained = noise(60, 1.2)
    fit = fit_of(grained)
    assert fit.grain() > 2.5
    assert fit.raised() == pytest.approx(np.sqrt(fit.grain()), rel=0.15)
    # Something stronger that turns slowly, like tissue that the filter left.
    stays = noise(1, 1.2, seed=1) * np.exp(0.1j * np.arange(60))[:, None, None, None]
    mixed = fit_of((grained + 3 * stays).astype(np.complex64))
    assert mixed.raised() == mixed.grain()
    assert fit_of(noise(1, 1.2)).raised() >= 1.0
    assert fit_of(np.zeros((3, *SHAPE), np.complex64)).raised() == 1.0


@pytest.mark.parametrize("shape", [(18, 1, 16), (3, 4, 4), (1, 1, 1)])
def test_the_grain_of_planes_and_small_volumes(shape: tuple[int, int, int]) -> None:
    assert 1.0 <= fit_of(noise(60, 0.0, shape=shape)).grain() < 1.6


def still(n_frames: int, length: int) -> Bubbles:
    """One track at rest."""
    frame = np.arange(10, 10 + length)
    place = np.tile([8.0, 8.0, 8.0], (length, 1))
    bubbles = Bubbles(frame, place, np.ones(length, np.complex128), n_frames)
    bubbles.after[:-1] = np.arange(1, length)
    bubbles.before[1:] = np.arange(length - 1)
    bubbles.noise[:] = 0.015
    return bubbles


def test_what_the_filter_took_of_a_track() -> None:
    n_frames = 60
    bubbles = still(n_frames, 30)
    frames = noise(n_frames, 0.0)
    mean = np.full((n_frames, 1), n_frames**-0.5, np.complex64)
    # Half of a course that is there half of the time is its mean.
    np.testing.assert_allclose(fit_of(frames, mean).taken(bubbles), 0.5, atol=0.02)
    assert (fit_of(frames).taken(bubbles) == 0).all()
    moving = still(n_frames, 30)
    moving.place[:, 0] += 0.4 * np.arange(30)  # the carrier turns
    assert (fit_of(frames, mean).taken(moving) < 0.1).all()


def test_tracks_that_are_rather_tissue() -> None:
    fwhm, took = np.array([2.0, 2.0, 2.0]), np.full(30, 0.4)

    def judged(
        bubbles: Bubbles, taken: NDArray[np.float64] = took, unit_mm_s: float = 25.0
    ) -> bool:
        found = still_like_tissue(bubbles, taken[: len(bubbles)], fwhm, 0.01, np.full(3, unit_mm_s))
        assert len(set(found.tolist())) == 1
        return bool(found[0])

    assert judged(still(60, 30))
    assert not judged(still(60, 30), 0 * took)  # the filter took nothing
    assert not judged(still(60, 5))  # too short to say
    alone = still(60, 30)
    alone.noise[:] = 0.01  # no speckle about it
    assert not judged(alone)
    slow = still(60, 30)
    slow.place[:, 1] += 0.05 * np.arange(30)
    assert not judged(slow)
    # A fifth of a width within 30 frames: 0.3 mm/s at 250 Hz, 3.5 mm/s at 2500 Hz.
    creeping = still(60, 30)
    creeping.place[:, 1] += 0.4 / 29 * np.arange(30)
    assert judged(creeping)
    assert not judged(creeping, unit_mm_s=250.0)


def test_speckle_that_lights_up_is_not_refined_to_bubbles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The filter knows one course of the tissue; a part of it moves a little later."""
    n_frames = 60
    frame, along = np.repeat(np.arange(n_frames), 3), np.repeat(np.linspace(2, 13, n_frames), 3)
    lane = np.tile(np.arange(3), n_frames)
    place = np.column_stack([9.0 + 3 * lane, along, 3.0 + 5 * lane])
    frames = render(frame, place, np.tile(phases(3), n_frames), n_frames, 0.1)
    rng = np.random.default_rng(2)
    n = 400  # scatterers in the uppermost voxels
    there = np.column_stack([rng.uniform(-1, 4, n), rng.uniform(-1, 16, (n, 2))])
    weight = 0.35 * (rng.normal(size=(n, 2)) @ np.array([1, 1j]))
    speckle = render(np.zeros(n, np.int64), there, weight, 1)[0]
    time = np.arange(n_frames)
    course = np.exp(-0.5 * ((time - 32) / 8) ** 2)
    frames += course[:, None, None, None].astype(np.float32) * speckle
    removed = np.exp(-0.5 * ((time - 26) / 8) ** 2)[:, None].astype(np.complex64)
    removed /= np.linalg.norm(removed)
    flat = frames.reshape(n_frames, -1)
    frames = (flat - removed @ (removed.conj().T @ flat)).reshape(frames.shape)
    level = np.abs(frames[:, :6])
    maxima = (level == maximum_filter(level, (1, 3, 3, 3))) & (level > 0.5)
    t, *at = np.nonzero(maxima)
    some = rng.random(len(t)) < 0.5
    seen = np.column_stack(at)[some].astype(float)
    begin = localizations(np.concatenate([frame, t[some]]), np.concatenate([place, seen]))
    found = refined(frames, begin, removed=removed)
    assert hits(found, frame, place, 25.0).mean() > 0.9
    monkeypatch.setattr(
        "napari_ulm3d.synthesis.refine.still_like_tissue", lambda one, *_: np.zeros(len(one), bool)
    )
    otherwise = refined(frames, begin, removed=removed)
    upper, before = ((one.positions_um[:, 0] < 600).sum() for one in (found, otherwise))
    assert before > 100
    assert upper < 0.5 * before


def test_the_noise_by_depth_is_that_of_the_noise_not_of_tissue() -> None:
    n_frames, rng = 80, np.random.default_rng(4)
    rise = 10 ** (np.linspace(0, 12, SHAPE[0]) / 20)  # 12 dB in amplitude
    frames = noise(n_frames, 0.0) * rise[:, None, None].astype(np.float32)
    expected = np.maximum(rise**2 / np.median(rise**2), 1.0)
    np.testing.assert_allclose(relative_noise(frames), expected, rtol=0.2)
    # Tissue as strong as the noise at the bottom moves over 40 frames.
    speckle = rng.normal(size=(2, 6, *SHAPE[1:]))
    slow = np.exp(2j * np.pi * np.arange(n_frames) / 40)[:, None, None, None]
    tissue = frames.copy()
    tissue[:, -6:] += (0.25 * slow * (speckle[0] + 1j * speckle[1])).astype(np.complex64)
    np.testing.assert_allclose(relative_noise(tissue), expected, rtol=0.25)


def test_the_noise_by_depth_without_data() -> None:
    masked = noise(40, 0.0)
    masked[:, :5] = 0
    np.testing.assert_allclose(relative_noise(masked), 1.0, rtol=0.1)
    assert (relative_noise(masked[:1]) == 1).all()
    assert (relative_noise(0 * masked) == 1).all()


def test_slow_bubbles_in_deep_noise_are_kept() -> None:
    """They differ from tissue by their surroundings, but the noise there is stronger anyway."""
    n_frames, length = 60, 30
    n = 6
    frame = np.tile(np.arange(15, 15 + length), n)
    start = np.column_stack(
        [np.full(n, 15.0), np.repeat([3.0, 12.0], 3), np.tile([3.0, 8.0, 13.0], 2)]
    )
    creep = 0.006 * np.tile(np.arange(length), n)  # a tenth of a width
    place = np.repeat(start, length, axis=0)
    place[:, 1] += creep
    rise = 10 ** (np.linspace(-6, 6, SHAPE[0]) / 20)
    frames = noise(n_frames, 0.0) * rise[:, None, None].astype(np.float32)
    frames += render(frame, place, np.repeat(phases(n), length), n_frames)
    mean = np.full((n_frames, 1), n_frames**-0.5, np.complex64)
    frames -= frames.mean(axis=0)
    found = refined(frames, localizations(frame, place), removed=mean)
    assert hits(found, frame, place, 50.0).mean() > 0.9


def test_grained_noise_that_stays_for_a_few_frames_is_no_track() -> None:
    rng = np.random.default_rng(3)
    parts = gaussian_filter(rng.normal(size=(2, 60, *SHAPE)), (0, 4, 0.9, 0.9, 0.9))
    frames = parts[0] + 1j * parts[1]
    frames = (0.1 * frames / np.sqrt((np.abs(frames) ** 2).mean())).astype(np.complex64)
    level = np.abs(frames)
    maxima = (level == maximum_filter(level, (1, 3, 3, 3))) & (level > 0.2)
    t, *at = np.nonzero(maxima)
    assert len(t) > 300
    found = refined(frames, localizations(t, np.column_stack(at).astype(float)))
    assert len(found.table) < 0.05 * len(t)
