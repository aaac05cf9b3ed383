"""The probability of refined bubbles: what it knows of each, and that it falls where bubbles crowd."""

from __future__ import annotations

import numpy as np
from test_synthesis import FWHM, SHAPE, localizations, phases, psf_of, refined, render

from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.fit import JointFit
from napari_ulm3d.synthesis.image import BubbleImage
from napari_ulm3d.synthesis.probability import (
    COEFFICIENTS,
    evidence_of_hits,
    probability_of_hits,
)


def test_the_evidence_of_each_bubble() -> None:
    rng = np.random.default_rng(1)
    white = 0.1 * (rng.normal(size=(5, *SHAPE, 2)) @ np.array([1, 1j])) / np.sqrt(2)
    fit = JointFit(white.astype(np.complex64), BubbleImage.gaussian(psf_of()), 0.1, np.ones(3))
    frame = np.array([0, 1, 1, 1, 2])
    place = np.tile([8.0, 6.0, 6.0], (5, 1))
    place[2, 0] += FWHM[0]  # one width away
    place[3, 1] += 1.5 * FWHM[1]
    bubbles = Bubbles(frame, place, np.ones(5, np.complex128), 5)
    bubbles.energy[:] = [100.0, 200.0, 50.0, 0.0, 100.0]
    bubbles.before[[1, 4]], bubbles.after[[0, 1]] = [0, 1], [1, 4]  # rows 0, 1 and 4 are a track
    inputs = evidence_of_hits(bubbles, np.ones(5, bool), fit)
    assert inputs.shape == (5, len(COEFFICIENTS))
    assert (inputs[:, 0] == 1).all()
    np.testing.assert_allclose(
        inputs[:, 1], np.log(np.maximum(bubbles.energy, 1) / fit.raised()), rtol=1e-12
    )
    np.testing.assert_allclose(np.exp(inputs[:, 2]), [3, 3, 1, 1, 3])
    near = np.exp(-2 * np.array([np.inf, 1.0, 1.0, 1.5, np.inf]))
    np.testing.assert_allclose(inputs[:, 3], near, atol=1e-9)
    assert inputs[:, 4].tolist() == [0, 2, 2, 2, 0]
    np.testing.assert_allclose(inputs[:, 5], np.log(0.02))  # no filter
    kept = evidence_of_hits(bubbles, np.array([1, 1, 0, 1, 1], bool), fit)
    np.testing.assert_allclose(kept[1, 3], np.exp(-3))
    assert kept[1, 4] == 1


def test_nothing_is_kept() -> None:
    fit = JointFit(
        np.zeros((2, *SHAPE), np.complex64), BubbleImage.gaussian(psf_of()), 0.1, np.ones(3)
    )
    empty = Bubbles(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.complex128), 2)
    assert len(probability_of_hits(evidence_of_hits(empty, np.empty(0, bool), fit))) == 0


def test_bubbles_side_by_side_are_less_probable_than_a_bubble_alone() -> None:
    n_frames = 30
    frame = np.repeat(np.arange(n_frames), 4)
    start = np.array([[4.0, 3.0, 3.0], [12.0, 11.0, 11.0], [12.0, 12.7, 11.0], [12.0, 11.0, 12.7]])
    place = (np.tile([0.1, 0.05, 0.0], (n_frames, 1)) * np.arange(n_frames)[:, None])[:, None]
    place = (place + start).reshape(-1, 3)
    frames = render(frame, place, np.tile(phases(4), n_frames), n_frames, 0.1)
    found = refined(frames, localizations(frame, place)).table
    alone = found["y_um"] < 150.0 * 6
    assert found["score"][alone].min() > 0.9
    assert found["score"][~alone].max() < found["score"][alone].min()
