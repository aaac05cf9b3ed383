"""The motion of bubbles is learned, predicts where tracks go on, and lets them end."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.linkers.scenes import SCENES, simulate
from benchmarks.linkers.scoring import score
from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link import link
from napari_ulm3d.link.chains import chain_labels
from napari_ulm3d.link.learning import learn_motion
from napari_ulm3d.link.prediction import MotionModel, advance, begin
from napari_ulm3d.tables import Localizations

Floats = NDArray[np.float64]


def walks(
    error: float, turn: float, speed: float, n: int = 300, frames: int = 40, seed: int = 0
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Frames, positions and bubbles of `n` that move as the model says, far from each other."""
    rng = np.random.default_rng(seed)
    velocity = rng.normal(0, speed, (n, 3))
    position = np.arange(n)[:, None] * np.array([1e4, 0, 0]) + np.zeros((n, 3))
    rows = []
    for frame in range(frames):
        found = position + rng.normal(0, error, (n, 3))
        rows += [(frame, *found[k], k) for k in range(n)]
        change = rng.normal(0, turn, (n, 3))
        position = position + velocity + change / 2
        velocity = velocity + change
    table = np.array(rows)
    return table[:, 0].astype(np.int64), table[:, 1:4].copy(), table[:, 4].astype(np.int64)


@pytest.mark.parametrize(("error", "turn", "speed"), [(8.0, 8.0, 30.0), (1.0, 4.0, 20.0)])
def test_the_variances_are_learned(error: float, turn: float, speed: float) -> None:
    frame, position, _ = walks(error, turn, speed)
    model = learn_motion(frame, position, 400.0, np.zeros_like(position))
    assert model is not None
    # Error and speed are taken twice as wide; the speed of a bubble is that of its whole track.
    np.testing.assert_allclose(np.sqrt(model.error / 2), error, rtol=0.25)
    np.testing.assert_allclose(np.sqrt(model.turn), turn, rtol=0.25)
    whole = np.sqrt(speed**2 + turn**2 * 19.5)
    np.testing.assert_allclose(np.sqrt(model.speed / 2), whole, rtol=0.25)
    assert np.isinf(model.given).all()


def test_nothing_is_learned_from_noise() -> None:
    rng = np.random.default_rng(3)
    frame = np.repeat(np.arange(40), 200)
    position = rng.uniform(0, 1000, (len(frame), 3))
    assert learn_motion(frame, position, 200.0, np.zeros_like(position)) is None
    assert learn_motion(frame[:0], position[:0], 200.0, position[:0]) is None
    few = frame < 3
    assert learn_motion(frame[few], position[few], 200.0, position[few] * 0) is None


def test_the_filter_follows_a_straight_track() -> None:
    model = MotionModel(np.full(3, 4.0), np.full(3, 0.01), np.full(3, 900.0), np.full(3, np.inf), 0)
    rng = np.random.default_rng(0)
    velocity = np.array([[10.0, -5.0, 3.0]])
    still = np.zeros((1, 3))
    state = begin(still, still, model.variances)
    for k in range(1, 30):
        found = velocity * k + rng.normal(0, 2.0, (1, 3))
        state = advance(state, found, still, 1, model.variances)
    np.testing.assert_allclose(state[0, :, 1], velocity[0], atol=0.6)
    # It knows how well it knows: the variance is between that of a fit to all points and the first.
    assert (state[0, :, 4] < 0.2).all()
    assert (state[0, :, 4] > 0.002).all()


def test_a_supplied_displacement_tells_a_new_bubble_where_to_go() -> None:
    model = MotionModel(np.full(3, 4.0), np.full(3, 1.0), np.full(3, 900.0), np.full(3, 1.0), 0)
    state = begin(np.zeros((2, 3)), np.array([[5.0, 0, 0], [0, 0, 0]]), model.variances)
    assert state[0, 0, 1] == pytest.approx(10.0, rel=0.01)
    assert state[0, 0, 4] == pytest.approx(1.0, rel=0.01)
    np.testing.assert_array_equal(state[1, :, 1], 0)
    np.testing.assert_array_equal(state[1, :, 4], 900.0)


def test_bubbles_that_pass_each_other_keep_their_tracks() -> None:
    """Two streams at 10 um, in opposite directions: the nearest point is often the other's."""
    frames = np.arange(40)
    rows = []
    for k in range(20):
        for side, sign in ((0.0, 1.0), (10.0, -1.0)):
            along = (300.0 * k if sign > 0 else 300.0 * k + 1200.0) + sign * 31.0 * frames
            rows += [
                (f, 0.0, side, x, 2 * k + (sign > 0)) for f, x in zip(frames, along, strict=True)
            ]
    table = np.array(sorted(rows))
    frame, position, bubble = table[:, 0].astype(int), table[:, 1:4].copy(), table[:, 4]
    model = learn_motion(frame, position, 120.0, np.zeros_like(position))

    def pure(label: NDArray[np.int64]) -> float:
        return float(
            np.mean([len(np.unique(bubble[label == one])) == 1 for one in np.unique(label)])
        )

    assert pure(chain_labels(frame, position, [120.0], model=model)) > 0.9
    assert pure(chain_labels(frame, position, [120.0])) < 0.9


@pytest.mark.parametrize("scene", SCENES[1:], ids=lambda one: one.name)
def test_links_are_better_than_the_shortest_ones(scene) -> None:
    truth = simulate(scene, seed=3)
    still = np.zeros_like(truth.position)
    model = learn_motion(truth.frame, truth.position, scene.gates_um[0], still)
    plain = chain_labels(truth.frame, truth.position, scene.gates_um)
    learned = chain_labels(truth.frame, truth.position, scene.gates_um, model=model)
    before, after = score(truth, plain, 9), score(truth, learned, 9)
    assert after[0] > before[0]
    assert after[1] > before[1]


def test_the_builder_of_gaps_gives_the_same_links() -> None:
    """A second gate that nothing passes selects it."""
    truth = simulate(SCENES[3], seed=4)
    still = np.zeros_like(truth.position)
    shift = np.random.default_rng(0).normal(0, 5, still.shape) * (truth.frame % 2 == 0)[:, None]
    model = learn_motion(truth.frame, truth.position, 60.0, shift)
    np.testing.assert_array_equal(
        chain_labels(truth.frame, truth.position, [60.0], shift, [50], model),
        chain_labels(truth.frame, truth.position, [60.0, 1e-9], shift, [50], model),
    )


def test_the_setting_decides() -> None:
    truth = simulate(SCENES[3], seed=5)
    one = np.ones(len(truth.frame))
    table = Localizations.from_arrays(truth.frame, truth.position, one, one, 500.0)
    limit = LinkConfig(max_speed_mm_s=30)
    assert limit.prediction == "auto"
    auto, none = link(table, 500.0, limit), link(table, 500.0, limit.replace(prediction="none"))
    assert not auto.table.equals(none.table)
    model = learn_motion(truth.frame[:6900], truth.position[:6900], 60.0, truth.position[:6900] * 0)
    label = chain_labels(truth.frame, truth.position, [60.0], model=model)
    assert abs(auto.n_tracks - (np.bincount(label) >= 9).sum()) < 10
