"""Predicted position of a bubble with its uncertainty, and the resulting cost of a link.

Each bubble moves with a velocity that changes at random; a Kalman filter estimates its position and velocity
along each axis. The cost of a link is the negative log likelihood of the observed position, with the tails of
Student's t distribution, since bubbles turn and stop more often than a normal distribution predicts. A point
remains unlinked if all its links are less likely than another bubble at that position. A track with a
well-known state therefore continues only near its prediction, and one that has just begun anywhere in the gate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.link.assignment import cheapest, gated_pairs

__all__ = ["MotionModel", "advance", "assign_moving", "begin"]

Floats = NDArray[np.float64]

_TAILS = 2.0  # degrees of freedom of the t distribution
_X, _V, _XX, _XV, _VV = range(5)


@dataclass(frozen=True)
class MotionModel:
    """Motion of the bubbles of an acquisition, as learned from its localizations.

    Attributes
    ----------
    error, turn, speed, given
        (3,) variances along z, y, x, in the squared unit of the positions: of a position, of the change
        of the displacement per frame from one frame to the next, of the displacement per frame of a new
        bubble, and of a displacement supplied with a localization (infinite: not supplied). All are 0 along an
        axis without motion.
    unlinked
        Cost of leaving a point unlinked.
    """

    error: Floats
    turn: Floats
    speed: Floats
    given: Floats
    unlinked: float

    @property
    def variances(self) -> Floats:
        """(4, 3) array of the variances for the compiled functions."""
        return np.array([self.error, self.turn, self.speed, self.given])


@njit(cache=True, nogil=True)
def begin(position: Floats, shift: Floats, variances: Floats) -> Floats:
    """States of new bubbles.

    Parameters
    ----------
    position
        (n, 3) positions.
    shift
        (n, 3) half the displacement supplied for one frame (0: unknown).
    variances
        (4, 3) of `MotionModel`.

    Returns
    -------
    (n, 3, 5): along each axis, position, displacement per frame, their variances and covariance.
    """
    n = len(position)
    state = np.zeros((n, 3, 5))
    for i in range(n):
        for a in range(3):
            state[i, a, _X] = position[i, a]
            state[i, a, _XX] = variances[0, a]
            state[i, a, _VV] = variances[2, a]
        _take_given(state[i], shift[i], variances)
    return state


@njit(cache=True, nogil=True)
def _take_given(state: Floats, shift: Floats, variances: Floats) -> None:
    """Update a state (3, 5) with the supplied displacement."""
    if shift[0] == 0.0 and shift[1] == 0.0 and shift[2] == 0.0:
        return
    for a in range(3):
        if not np.isfinite(variances[3, a]):
            continue
        total = state[a, _VV] + variances[3, a]
        if total <= 0.0:
            continue
        rest = 2 * shift[a] - state[a, _V]
        xv, vv = state[a, _XV], state[a, _VV]
        state[a, _X] += xv / total * rest
        state[a, _V] += vv / total * rest
        state[a, _XX] -= xv * xv / total
        state[a, _XV] -= xv * vv / total
        state[a, _VV] -= vv * vv / total


@njit(cache=True, nogil=True)
def _moved(state: Floats, turn: float, apart: int) -> tuple[float, float, float, float]:
    """Position, its variance, the covariance and the displacement's variance, `apart` frames later."""
    x, xx, xv, vv = state[_X], state[_XX], state[_XV], state[_VV]
    for _ in range(apart):
        x += state[_V]
        xx += 2 * xv + vv + 0.25 * turn
        xv += vv + 0.5 * turn
        vv += turn
    return x, xx, xv, vv


@njit(cache=True, nogil=True)
def advance(
    state: Floats, position: Floats, shift: Floats, apart: int, variances: Floats
) -> Floats:
    """States (n, 3, 5) of bubbles after they were found `apart` frames later at (n, 3) positions."""
    after = np.zeros_like(state)
    for i in range(len(state)):
        for a in range(3):
            x, xx, xv, vv = _moved(state[i, a], variances[1, a], apart)
            total = xx + variances[0, a]
            v = state[i, a, _V]
            if total > 0.0:
                rest = position[i, a] - x
                x += xx / total * rest
                v += xv / total * rest
                vv -= xv * xv / total
                xv -= xx * xv / total
                xx -= xx * xx / total
            after[i, a, _X], after[i, a, _V] = x, v
            after[i, a, _XX], after[i, a, _XV], after[i, a, _VV] = xx, xv, vv
        _take_given(after[i], shift[i], variances)
    return after


@njit(cache=True, nogil=True)
def assign_moving(
    source: Floats,
    state: Floats,
    target: Floats,
    target_shift: Floats,
    gate: float,
    apart: int,
    variances: Floats,
    unlinked: float,
) -> NDArray[np.int64]:
    """Link sources to targets with the greatest joint likelihood.

    Parameters
    ----------
    source, state
        (n, 3) positions and (n, 3, 5) states.
    target, target_shift
        (m, 3) positions, `apart` frames later, and half their supplied displacements (0: unknown).
    gate
        Maximum length of a link.
    variances, unlinked
        Of `MotionModel`.

    Returns
    -------
    (n,) index of each source's target, -1 for none.
    """
    n, m = source.shape[0], target.shape[0]
    first, column, cost = gated_pairs(
        source, np.zeros_like(source), target, np.zeros_like(target), gate
    )
    least = unlinked
    given = np.isfinite(variances[3]).all()
    # Likelihood of a supplied displacement by chance: 1 per axis for its square, 1 for the t distribution's
    # norm, which depends on the number of values.
    constant = 0.0
    for a in range(3):
        if given and variances[0, a] > 0.0:
            constant += math.log(variances[2, a] + variances[3, a]) + 2.0
    for i in range(n):
        if first[i] == first[i + 1]:
            continue
        expected = np.empty((3, 5))
        scale, scale_told, thick = 0.0, 0.0, 0
        for a in range(3):
            x, xx, xv, vv = _moved(state[i, a], variances[1, a], apart)
            xx += variances[0, a]
            vv += variances[3, a]
            expected[a] = (x, state[i, a, _V], xx, xv / xx if xx > 0.0 else 0.0, 0.0)
            if xx > 0.0:
                thick += 1
                scale += math.log(xx)
                if given:
                    # Distribution of the displacement given the position.
                    expected[a, 4] = vv - xv * xv / xx
                    scale_told += math.log(expected[a, 4])
        for pair in range(first[i], first[i + 1]):
            j = column[pair]
            told = given and np.any(target_shift[j] != 0.0)
            square, many, total = 0.0, thick, scale
            for a in range(3):
                if expected[a, 2] > 0.0:
                    rest = target[j, a] - expected[a, 0]
                    square += rest * rest / expected[a, 2]
                    if told:
                        rest = 2 * target_shift[j, a] - expected[a, 1] - expected[a, 3] * rest
                        square += rest * rest / expected[a, 4]
            if told:
                many, total = 2 * thick, scale + scale_told - constant
            cost[pair] = 0.5 * ((_TAILS + many) * math.log(1.0 + square / _TAILS) + total)
            least = min(least, cost[pair])
    # The assignment needs non-negative costs; each source has exactly one, so a constant changes nothing.
    return cheapest(n, m, first, column, cost - least, unlinked - least)
