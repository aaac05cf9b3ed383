"""From a network's score to the probability of a hit.

A network that was trained on one kind of scene is too sure of itself on others. Measured on scenes of several
kinds, a hit (a bubble within a quarter of the wavelength) with the score s has the probability p with

    logit p = offset + low ln s - high ln(1 - s),

the family of Kull, Silva Filho and Flach (AISTATS 2017, "Beta calibration"), which bends both ends of the
curve separately and contains p = s. It rises with s, so nothing changes its rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

__all__ = ["AS_IT_IS", "BetaCalibration", "calibration_of"]

_EDGE = 1e-6
"""Scores are kept this far from 0 and 1."""


@dataclass(frozen=True)
class BetaCalibration:
    """Coefficients of the curve.

    Attributes
    ----------
    offset
        The logit of p is raised by this.
    low, high
        Slopes where s is near 0 and near 1; positive.
    """

    offset: float
    low: float
    high: float

    def probability(self, score: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities of scores, of any shape."""
        s = np.clip(np.asarray(score, np.float64), _EDGE, 1 - _EDGE)
        return np.asarray(expit(self.offset + self.low * np.log(s) - self.high * np.log1p(-s)))

    def score(self, probability: float) -> float:
        """Score with a given probability; 0 or 1 if none is so small or so large."""
        if self == AS_IT_IS:
            return probability
        low, high = self.probability(np.array([0.0, 1.0]))
        if not low < probability < high:
            return float(probability >= high)

        def above(s: float) -> float:
            p = float(self.probability(np.array(s)))
            return float(logit(p) - logit(probability))

        return float(brentq(above, _EDGE, 1 - _EDGE, xtol=1e-12))


AS_IT_IS = BetaCalibration(0.0, 1.0, 1.0)
"""The score itself."""

_MEASURED = {
    # The included `bubblenet`.
    "386593c61c2d13812143f3ec928b5d47742738fa4b3df2df078c60d1b78ab37c": BetaCalibration(
        0.74, 1.35, 0.38
    ),
}
"""By hash of the weights. Fitted by `python -m benchmarks.reliability --fit network` on validation and
development scenes, 2026-11-30."""


def calibration_of(weights_sha256: str) -> BetaCalibration:
    """Curve of a network by the hash of its weights; the score itself for a network without one."""
    return _MEASURED.get(weights_sha256, AS_IT_IS)
