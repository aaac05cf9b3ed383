"""Joint fits of bubbles with their measured image: positions, tracks, additions and removals."""

from __future__ import annotations

import numpy as np
import pytest
from numba import get_num_threads, set_num_threads
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PsfConfig
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import Psf, analytic_psf
from napari_ulm3d.synthesis import Synthesis, refine_localizations
from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.chaining import chain
from napari_ulm3d.synthesis.fit import JointFit
from napari_ulm3d.synthesis.image import BubbleImage
from napari_ulm3d.tables import Localizations

Floats = NDArray[np.float64]

SHAPE = (18, 16, 16)
FWHM = (1.6, 2.2, 2.2)
CARRIER = 0.9
GRID = Grid(SHAPE, (100.0, 150.0, 150.0))
RATE_HZ = 250.0


def psf_of(fwhm: tuple[float, float, float] = FWHM) -> Psf:
    config = PsfConfig(fwhm_voxels=fwhm)
    return analytic_psf(config, GRID, carrier_rad=CARRIER)


def pulse(d: Floats) -> Floats:
    """An asymmetric profile whose best Gaussian is close to 0, about 1.6 voxels wide."""
    s = FWHM[0] / 2.3548
    return np.exp(-0.5 * (d / s) ** 2) * (1 + 0.35 * (d / s) ** 3 / 3) + 0.1 * np.exp(
        -0.5 * ((d - 2.2) / s) ** 2
    )


def gauss(width: float, d: Floats) -> Floats:
    return np.exp(-0.5 * (d * 2.3548 / width) ** 2)


def render(
    frame: NDArray[np.int64],
    place: Floats,
    amplitude: NDArray[np.complex128],
    n_frames: int,
    noise: float = 0.0,
    lopsided: bool = False,
    shape: tuple[int, int, int] = SHAPE,
) -> NDArray[np.complex64]:
    """Frames of bubbles, computed without tables, windows or steps."""
    rng = np.random.default_rng(5)
    out = (rng.normal(size=(n_frames, *shape, 2)) @ np.array([1, 1j])) * noise / np.sqrt(2)
    for t, at, a in zip(frame, place, amplitude, strict=True):
        axes = [np.arange(n) - p for n, p in zip(shape, at, strict=True)]
        z = pulse(axes[0]) if lopsided else gauss(FWHM[0], axes[0])
        z = z * np.exp(1j * CARRIER * axes[0])
        y, x = (gauss(w, d) for w, d in zip(FWHM[1:], axes[1:], strict=True))
        out[t] += a * z[:, None, None] * y[:, None] * x
    return out.astype(np.complex64)


def streams(n_frames: int, n: int, seed: int) -> tuple[NDArray[np.int64], Floats]:
    """Bubbles that cross on straight lines through the volume; frames and positions."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(3, np.array(SHAPE) - 4, (n, 3))
    end = rng.uniform(3, np.array(SHAPE) - 4, (n, 3))
    part = np.arange(n_frames)[:, None, None] / max(n_frames - 1, 1)
    place = start + part * (end - start)
    return np.repeat(np.arange(n_frames), n), place.reshape(-1, 3)


def localizations(frame: NDArray[np.int64], place: Floats, score: float = 0.5) -> Localizations:
    n = len(frame)
    return Localizations.from_arrays(
        frame, GRID.to_um(place), np.full(n, 20.0), np.full(n, score), RATE_HZ
    )


def refined(frames: NDArray[np.complex64], start: Localizations, **more: object) -> Localizations:
    mode = more.pop("mode", "window")
    return refine_localizations(
        frames,
        start,
        psf=psf_of(),
        grid=GRID,
        rate_hz=RATE_HZ,
        noise_rms=0.1,
        wavelength_um=100.0,
        settings=Synthesis(mode=mode, max_speed_mm_s=60.0),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def hits(found: Localizations, frame: NDArray[np.int64], place: Floats, within_um: float) -> Floats:
    """Whether each true position has a found one."""
    truth = np.column_stack([frame * 1e6, GRID.to_um(place)])
    tree = cKDTree(np.column_stack([found.frames * 1e6, found.positions_um]))
    return np.asarray(tree.query(truth)[0] < within_um)


def phases(n: int, seed: int = 1) -> NDArray[np.complex128]:
    return np.exp(2j * np.pi * np.random.default_rng(seed).random(n))


def test_two_close_bubbles_are_where_a_general_solver_finds_them() -> None:
    frame = np.zeros(2, np.int64)
    place = np.array([[8.2, 7.3, 7.9], [8.9, 8.6, 8.4]])
    amplitude = np.array([1.0, 0.8j])
    frames = render(frame, place, amplitude, 1, noise=0.05)
    bubbles = Bubbles(frame, place + 0.2, np.zeros(2, np.complex128), 1)
    fit = JointFit(frames, BubbleImage.gaussian(psf_of()), 0.05, np.full(3, 0.05))
    fit.restart(bubbles)
    fit.sweep(bubbles, 60)

    def residual(p: Floats) -> Floats:
        model = render(frame, p[:6].reshape(2, 3), p[6:8] + 1j * p[8:], 1)
        left = (frames - model).ravel()
        return np.concatenate([left.real, left.imag])

    start = np.concatenate([(place + 0.2).ravel(), amplitude.real, amplitude.imag])
    exact = least_squares(residual, start).x[:6].reshape(2, 3)
    # Sweeps end when steps are small, which happens in many directions for close bubbles.
    np.testing.assert_allclose(bubbles.place, exact, atol=0.04)
    # With the others fixed the bound is optimistic, but of the order of the error.
    assert (np.abs(bubbles.place - place) < 8 * bubbles.deviation).all()


def test_the_deviation_is_that_of_many_noises() -> None:
    n = 200
    frame = np.arange(n)
    place = np.tile([8.3, 7.6, 8.1], (n, 1))
    frames = render(frame, place, phases(n), n, noise=0.1)
    bubbles = Bubbles(frame, place.copy(), np.zeros(n, np.complex128), n)
    fit = JointFit(frames, BubbleImage.gaussian(psf_of()), 0.1, np.full(3, 0.05))
    fit.restart(bubbles)
    fit.sweep(bubbles, 8)
    measured = (bubbles.place - place).std(axis=0)
    np.testing.assert_allclose(measured, bubbles.deviation.mean(axis=0), rtol=0.2)


def test_the_image_is_learned_from_bubbles_that_stand_alone() -> None:
    n = 60
    rng = np.random.default_rng(3)
    frame, place = np.arange(n), rng.uniform(5, 11, (n, 3))
    frames = render(frame, place, phases(n), n, noise=0.001, lopsided=True)
    bubbles = Bubbles(frame, place.copy(), np.zeros(n, np.complex128), n)
    fit = JointFit(frames, BubbleImage.gaussian(psf_of()), 0.001, np.full(3, 0.05))
    fit.restart(bubbles)
    fit.sweep(bubbles, 6)
    before = np.mean(np.abs(fit.left) ** 2)
    for _ in range(3):
        assert fit.measure_image(bubbles)
        fit.restart(bubbles)
        fit.sweep(bubbles, 4)
    assert np.mean(np.abs(fit.left) ** 2) < 0.2 * before
    d = np.linspace(-2, 3, 40)
    learned = fit.image.profile(0, d)
    # Up to where the bubble is said to be, and a factor.
    shifts = np.linspace(-0.4, 0.4, 81)
    best = max(
        abs(np.vdot(pulse(d + s), learned * np.exp(-1j * CARRIER * d)))
        / np.linalg.norm(pulse(d + s))
        for s in shifts
    )
    assert best / np.linalg.norm(learned) > 0.995
    # A Gaussian has its best correlation at the bubble's position, so positions do not shift.
    assert abs((bubbles.place - place)[:, 0].mean() + shift_of_pulse()) < 0.05


def shift_of_pulse() -> float:
    """Position of `pulse` relative to its best Gaussian fit."""
    at = np.arange(-2, 2, 0.01)
    grid = np.arange(-6, 6, 0.01)
    scores = [np.dot(pulse(grid), gauss(FWHM[0], grid - s)) for s in at]
    return -float(at[int(np.argmax(scores))])


def test_too_few_bubbles_leave_a_gaussian() -> None:
    frames = render(np.arange(5), np.full((5, 3), 8.0), phases(5), 5, noise=0.01, lopsided=True)
    bubbles = Bubbles(np.arange(5), np.full((5, 3), 8.0), np.zeros(5, np.complex128), 5)
    fit = JointFit(frames, BubbleImage.gaussian(psf_of()), 0.01, np.full(3, 0.05))
    fit.restart(bubbles)
    fit.sweep(bubbles, 4)
    assert not fit.measure_image(bubbles)


def test_links_follow_straight_tracks_through_a_crossing() -> None:
    """At the crossing, the next position of the other bubble is the nearer one."""
    t = np.arange(11.0)
    one = np.column_stack([t, 0.55 + 0 * t, t])
    two = np.column_stack([10 - t, 0 * t, t])
    place = np.stack([one, two], axis=1).reshape(-1, 3)
    first = np.arange(0, 23, 2)
    before, after = chain(first, place, np.full(3, 3.0), np.full(3, 0.4))
    assert (after[:-2] == np.arange(2, 22)).all()
    assert (before[2:] == np.arange(20)).all()


def test_links_are_no_longer_than_the_gate_and_tracks_no_shorter_than_three() -> None:
    place = np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 9], [0, 0, 10]])
    before, after = chain(np.arange(6), place, np.full(3, 2.0), np.full(3, 0.5))
    assert after.tolist() == [1, 2, -1, -1, -1]
    assert before.tolist() == [-1, 0, 1, -1, -1]


def test_a_window_finds_what_was_missed_and_drops_what_is_not_there() -> None:
    n_frames, n = 24, 9
    frame, place = streams(n_frames, n, seed=2)
    frames = render(frame, place, np.tile(phases(n), n_frames), n_frames, 0.1, lopsided=True)
    rng = np.random.default_rng(0)
    seen = rng.random(len(frame)) > 0.35
    false = rng.uniform(2, 14, (40, 3))
    start = localizations(
        np.concatenate([frame[seen], rng.integers(0, n_frames, 40)]),
        np.concatenate([place[seen] + rng.normal(0, 0.2, (seen.sum(), 3)), false]),
    )
    alone = refined(frames, start, mode="frame")
    together = refined(frames, start)
    recall = [hits(found, frame, place, 35.0).mean() for found in (start, alone, together)]
    assert min(recall[1:]) > 0.9 > recall[0]
    assert len(together) < 1.1 * len(frame)
    assert (together.table["frame"].diff().dropna() >= 0).all()
    assert together.table[["sigma_z_um", "sigma_y_um", "sigma_x_um"]].to_numpy().min() > 0
    assert together.table["score"].between(0, 1).all()


def test_velocities_are_those_of_the_tracks() -> None:
    n_frames = 12
    frame, place = streams(n_frames, 1, seed=7)
    frames = render(frame, place, np.ones(n_frames, complex), n_frames, 0.05)
    found = refined(frames, localizations(frame, place))
    true = (place[1] - place[0]) * GRID.spacing_um * RATE_HZ / 1000
    velocity = found.table[["vz_mm_s", "vy_mm_s", "vx_mm_s"]].to_numpy()
    np.testing.assert_allclose(np.median(velocity, axis=0), true, atol=1.0)


def test_the_same_bits_for_any_number_of_threads() -> None:
    frame, place = streams(9, 5, seed=4)
    frames = render(frame, place, phases(len(frame)), 9, 0.1)
    start = localizations(frame, place)
    threads = get_num_threads()
    try:
        set_num_threads(1)
        one = refined(frames, start).table
    finally:
        set_num_threads(threads)
    assert one.equals(refined(frames, start).table)


def test_frames_are_not_written_to_and_their_numbers_go_through() -> None:
    frame, place = streams(6, 3, seed=9)
    frames = render(frame, place, phases(len(frame)), 6, 0.05)
    kept = frames.copy()
    start = localizations(frame + 100, place)
    found = refined(frames, start, first_frame=100)
    assert (frames == kept).all()
    assert set(found.frames.tolist()) == set(range(100, 106))


def test_a_plane_stays_a_plane() -> None:
    shape, n_frames = (18, 1, 20), 8
    grid = Grid(shape, (100.0, 400.0, 100.0))
    t = np.arange(n_frames)
    place = np.column_stack([4 + t, 0 * t, 5 + 1.1 * t]).astype(float)
    frames = render(t, place, phases(n_frames), n_frames, 0.05, shape=shape)
    start = Localizations.from_arrays(
        t,
        grid.to_um(place + np.array([0.2, 0, -0.2])),
        np.full(n_frames, 20.0),
        np.ones(n_frames),
        RATE_HZ,
    )
    found = refine_localizations(
        frames, start, psf=psf_of(), grid=grid, rate_hz=RATE_HZ, noise_rms=0.05, wavelength_um=None,
        settings=Synthesis(max_speed_mm_s=60.0),
    )  # fmt: skip
    assert (found.table["y_um"] == 0).all()
    np.testing.assert_allclose(found.positions_um, grid.to_um(place), atol=12.0)


@pytest.mark.parametrize("mode", ["frame", "window"])
def test_nothing_to_begin_with_and_nothing_to_find(mode: str) -> None:
    none = Localizations.empty()
    assert len(refined(np.zeros((4, *SHAPE), np.complex64), none, mode=mode)) == 0


def test_a_bubble_that_nobody_saw_is_found() -> None:
    frame, place = streams(8, 1, seed=1)
    frames = render(frame, place, phases(8), 8, 0.05)
    found = refined(frames, Localizations.empty())
    assert hits(found, frame, place, 20.0).all()


def test_a_stop_is_heard() -> None:
    with pytest.raises(Cancelled):
        refined(np.zeros((4, *SHAPE), np.complex64), Localizations.empty(), stop=lambda: True)


def test_what_the_clutter_filter_takes_of_slow_bubbles_is_taken_of_their_images() -> None:
    """A filter that subtracts the mean leaves a trail behind each bubble that moves by a few widths."""
    n_frames, n = 60, 8
    rng = np.random.default_rng(8)
    start = rng.uniform(4, np.array(SHAPE) - 5, (n, 3))
    end = start + 5 * np.sign(np.array(SHAPE) / 2 - start) * rng.uniform(0.3, 1, (n, 3))
    part = np.linspace(0, 1, n_frames)[:, None, None]
    frame = np.repeat(np.arange(n_frames), n)
    place = (start + part * (end - start)).reshape(-1, 3)
    frames = render(frame, place, np.tile(phases(n), n_frames), n_frames, 0.1)
    frames -= frames.mean(axis=0)
    removed = np.full((n_frames, 1), n_frames**-0.5, np.complex64)
    begin = localizations(frame, place + rng.normal(0, 0.15, place.shape))
    plain, modelled = refined(frames, begin), refined(frames, begin, removed=removed)
    assert hits(modelled, frame, place, 25.0).mean() > 0.85
    assert hits(plain, frame, place, 25.0).mean() < 0.5
    assert len(modelled) < 1.1 * len(frame)


def test_only_isolated_localizations_hold_bubbles_to_their_place() -> None:
    """A wrong position with a small standard deviation is kept if alone, and not beside another."""
    n_frames = 6
    frame = np.repeat(np.arange(n_frames), 2)
    place = np.tile([[6.0, 8.0, 8.0], [6.0, 8.0, 10.5]], (n_frames, 1))
    frames = render(frame, place, np.tile(phases(2), n_frames), n_frames, 0.05)
    said = place.copy()
    said[:, 0] += 0.3

    def errors(rows: NDArray[np.int64]) -> Floats:
        given = Localizations.from_arrays(
            frame[rows], GRID.to_um(said[rows]), np.full(len(rows), 20.0), np.ones(len(rows)),
            RATE_HZ, np.full((len(rows), 3), 0.2, np.float32),
        )  # fmt: skip
        single = render(frame[rows], place[rows], np.ones(len(rows), complex), n_frames, 0.05)
        both = frames if len(rows) == len(frame) else single
        bubbles = refine_localizations(
            both, given, psf=psf_of(), grid=GRID, rate_hz=RATE_HZ, noise_rms=0.05,
            wavelength_um=100.0, settings=Synthesis("window", 60.0, trust_sigma=True),
        )  # fmt: skip
        return np.abs(bubbles.table["z_um"].to_numpy() - 600.0)

    assert errors(np.arange(len(frame))).max() < 10.0
    assert errors(np.arange(0, len(frame), 2)).min() > 20.0
