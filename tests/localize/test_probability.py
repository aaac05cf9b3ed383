"""From scores to probabilities: the theory of beta calibration, and the curve of the included network."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import beta

from benchmarks.reliability.fit import Cases, fitted
from napari_ulm3d.localize.probability import AS_IT_IS, BetaCalibration, calibration_of
from napari_ulm3d.networks.shipped import find_weights
from napari_ulm3d.networks.weights import read_card

HIT, MISS = (4.0, 1.5), (1.2, 3.0)
"""Beta distributions of the scores of hits and misses, equally frequent."""
CURVE = BetaCalibration(
    offset=float(betaln(*MISS) - betaln(*HIT)), low=HIT[0] - MISS[0], high=MISS[1] - HIT[1]
)
"""Kull, Silva Filho and Flach (2017): the posterior is this curve."""


def test_the_curve_is_bayes_rule_for_beta_distributed_scores() -> None:
    s = np.linspace(0.01, 0.99, 99)
    hit, miss = beta.pdf(s, *HIT), beta.pdf(s, *MISS)
    np.testing.assert_allclose(CURVE.probability(s), hit / (hit + miss), rtol=1e-9)


def test_the_fit_finds_the_curve_whatever_the_number_of_localizations_in_a_scene() -> None:
    rng = np.random.default_rng(0)

    def cases(name: str, n: int) -> Cases:
        hit = np.arange(n) % 2 == 0
        s = np.where(hit, rng.beta(*HIT, n), rng.beta(*MISS, n))
        inputs = np.column_stack([np.ones(n), np.log(s), -np.log1p(-s)])
        return Cases(name, inputs, hit, s)

    found = fitted([cases("a", 20_000), cases("b", 60_000)])
    np.testing.assert_allclose(found, [CURVE.offset, CURVE.low, CURVE.high], atol=0.15)


def test_the_score_of_a_probability() -> None:
    for p in (0.05, 0.2, 0.5, 0.97):
        assert CURVE.probability(np.array(CURVE.score(p))) == pytest.approx(p)
        assert AS_IT_IS.score(p) == p
    assert CURVE.score(0.0) == 0.0
    assert CURVE.score(1.0) == 1.0
    s = np.array([0.0, 0.3, 1.0])
    np.testing.assert_allclose(AS_IT_IS.probability(s), s, atol=1e-5)


def test_the_included_network_has_a_curve_and_others_have_none() -> None:
    curve = calibration_of(read_card(find_weights("bubblenet", "")).weights_sha256)
    assert curve != AS_IT_IS
    p = curve.probability(np.linspace(0, 1, 200))
    assert (np.diff(p) > 0).all()
    assert calibration_of("") == AS_IT_IS
