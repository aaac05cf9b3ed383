"""Probability that a refined bubble is a hit: within a quarter of the wavelength of a true one.

The standard deviation of the fit is that for known other bubbles. It knows neither missed ones beside it nor what
is left of tissue, so by itself it promises hits nearly everywhere. What tells them apart is measured: a logistic
regression on scenes of several kinds, with hits as truth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit

from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.fit import JointFit

__all__ = ["COEFFICIENTS", "evidence_of_hits", "probability_of_hits"]

COEFFICIENTS = {
    "offset": -5.03,
    "log energy": 0.58,
    "log length": 0.72,
    "nearest": -4.27,
    "within two widths": -0.21,
    "log taken": -0.84,
}
"""Fitted by `python -m benchmarks.reliability --fit refined` on validation and development scenes, 2026-11-30."""

_LONGEST = 50
"""Rows of a track beyond which its length says no more."""
_REACH = 0.5
"""Widths over which another bubble counts less by a factor e."""
_CROWD = 2.0
_LEAST_TAKEN = 0.02


def evidence_of_hits(
    bubbles: Bubbles, keep: NDArray[np.bool_], fit: JointFit
) -> NDArray[np.float64]:
    """Inputs of the probability, (n, 6) for n kept bubbles, in the order of `COEFFICIENTS`.

    One; the logarithm of the energy over that of what resembles bubbles (`JointFit.raised`); of the rows of the
    track; exp(-d / 0.5) for the distance d to the nearest other bubble of the frame in widths; their
    number within two widths; the logarithm of the energy's share that the clutter filter removed (plus
    0.02), which is large for tissue.
    """
    _, length = bubbles.tracks()
    place = np.column_stack([bubbles.frame * 1e3, bubbles.place / fit.fwhm])[keep]
    nearest, crowd = np.full(len(place), np.inf), np.zeros(len(place))
    if len(place) > 1:
        tree = cKDTree(place)
        nearest = tree.query(place, 2)[0][:, 1]
        crowd = np.asarray(tree.query_ball_point(place, _CROWD, return_length=True) - 1.0)
    columns = (
        np.ones(len(place)),
        np.log(np.maximum(bubbles.energy[keep], 1.0) / fit.raised()),
        np.log(np.minimum(length[keep], _LONGEST)),
        np.exp(-nearest / _REACH),
        crowd,
        np.log(fit.taken(bubbles)[keep] + _LEAST_TAKEN),
    )
    return np.column_stack(columns)


def probability_of_hits(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) probabilities from the inputs (n, 6)."""
    return np.asarray(expit(evidence @ np.array(list(COEFFICIENTS.values()))))
