"""Diameter from the radial profile of track positions about a centreline.

Sampled in time, bubbles fill the lumen evenly: the time a bubble spends in a ring of the cross
section is inversely proportional to its speed, while the probability of entering the ring is
proportional to it. Positions are therefore uniform over the disk of radius R that the centres of
bubbles can reach, blurred by the localization error sigma, on an even background of other tracks.
With r the distance from the centreline,

    p(r) = (1 - f) 2 r / R^2 * P(a point at r, blurred by sigma, lies within R) + f 2 r / r_max^2

up to r_max, where P is the distribution function of a noncentral chi-squared variable with two
degrees of freedom (Marcum's Q). In a plane, positions are projected and the disk
becomes a semicircle. R and f maximize the likelihood. The error of R is the half width at which
the log-likelihood has fallen by 1/2, for the effective number of independent positions, since a
bubble stays on its streamline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["RadialFit", "fit_radius"]

# Candidates for R / r_max, and number of rings of equal width in r / r_max.
_CANDIDATES = np.geomspace(0.02, 1.0, 72)
_RINGS = 60
_WITHIN_RING = 3
# sigma / r_max is rounded to this many steps per decade.
_STEPS = 24
_BACKGROUND = np.concatenate([[1e-4], np.linspace(0.02, 0.9, 23)])


@dataclass(frozen=True)
class RadialFit:
    """Fit of a radial profile.

    Attributes
    ----------
    radius_um
        Radius of the disk that the bubbles' centres fill.
    error_um
        Its standard error.
    background
        Share of positions in the background.
    """

    radius_um: float
    error_um: float
    background: float


def fit_radius(
    distance_um: NDArray[np.float64],
    sigma_um: float,
    reach_um: float,
    independent: float,
    *,
    planar: bool = False,
) -> RadialFit:
    """Fit the radial profile of positions.

    Parameters
    ----------
    distance_um
        (n,) distances from the centreline, up to `reach_um`.
    sigma_um
        Standard deviation of a position along each axis perpendicular to the vessel.
    reach_um
        Largest distance considered.
    independent
        Effective number of independent positions.
    planar
        The acquisition is a plane: distances are projected.
    """
    ring = np.minimum((distance_um / reach_um * _RINGS).astype(np.int64), _RINGS - 1)
    count = np.bincount(ring[distance_um < reach_um], minlength=_RINGS).astype(np.float64)
    if not count.any():
        return RadialFit(np.nan, np.nan, np.nan)
    model = _profiles(_rounded(sigma_um / reach_um), planar)
    even = _ring_shares(planar)
    # (backgrounds, candidates) log-likelihood of the effective number of positions.
    weight = count / count.sum() * independent
    logs = np.stack([np.log((1 - f) * model + f * even) @ weight for f in _BACKGROUND])
    by_radius = logs.max(axis=0)
    best = int(np.argmax(by_radius))
    radius, error = _peak(np.log(_CANDIDATES), by_radius, best)
    f = float(_BACKGROUND[int(np.argmax(logs[:, best]))])
    return RadialFit(reach_um * radius, reach_um * error, f)


def _peak(at: NDArray[np.float64], value: NDArray[np.float64], best: int) -> tuple[float, float]:
    """Interpolated position of the maximum, and the half width where `value` has fallen by 1/2."""
    centre = at[best]
    if 0 < best < len(at) - 1:
        left, middle, right = value[best - 1 : best + 2]
        bend = left - 2 * middle + right
        if bend < 0:
            centre += 0.5 * (left - right) / bend * (at[1] - at[0])
    inside = np.flatnonzero(value > value[best] - 0.5)
    low, high = int(inside[0]), int(inside[-1])
    # Interpolate the crossings; without one, take the last candidate.
    lower = at[0] if low == 0 else _crossing(at, value, low - 1, value[best] - 0.5)
    upper = at[-1] if high == len(at) - 1 else _crossing(at, value, high, value[best] - 0.5)
    radius = float(np.exp(centre))
    return radius, float((np.exp(upper) - np.exp(lower)) / 2)


def _crossing(at: NDArray[np.float64], value: NDArray[np.float64], k: int, level: float) -> float:
    share = (level - value[k]) / (value[k + 1] - value[k])
    return float(at[k] + share * (at[k + 1] - at[k]))


def _rounded(ratio: float) -> float:
    """The ratio, clipped to a sensible range and rounded to a step of the table."""
    ratio = min(max(ratio, 2e-3), 2.0)
    return float(10 ** (round(np.log10(ratio) * _STEPS) / _STEPS))


def _ring_shares(planar: bool) -> NDArray[np.float64]:
    edges = np.linspace(0, 1, _RINGS + 1)
    return np.diff(edges if planar else edges**2)


@lru_cache(maxsize=256)
def _profiles(ratio: float, planar: bool) -> NDArray[np.float64]:
    """(candidates, rings) share of positions in each ring, for sigma / r_max = `ratio`."""
    r = (np.arange(_RINGS * _WITHIN_RING) + 0.5) / (_RINGS * _WITHIN_RING)
    inside = np.stack([_within(r / ratio, R / ratio, planar) for R in _CANDIDATES])
    density = inside if planar else inside * r
    ring = density.reshape(len(_CANDIDATES), _RINGS, _WITHIN_RING).sum(axis=2)
    ring /= ring.sum(axis=1, keepdims=True)
    return np.asarray(np.maximum(ring, 1e-12))


def _within(a: NDArray[np.float64], b: float, planar: bool) -> NDArray[np.float64]:
    """Blurred profile of a disk of radius `b` at distances `a`, in units of sigma."""
    from scipy import stats

    if planar:
        # Gauss-Chebyshev nodes of the second kind integrate the semicircle exactly.
        n = int(np.clip(8 * b, 64, 600))
        k = np.arange(1, n + 1) * np.pi / (n + 1)
        weight = np.sin(k) ** 2
        return np.asarray(
            (np.exp(-0.5 * (a[:, None] - b * np.cos(k)) ** 2) * weight).sum(axis=1) / weight.sum()
        )
    if b > 30:  # a straight edge, accurate to one part in a thousand
        return np.asarray(stats.norm.cdf(b - a - 0.5 / b))
    return np.asarray(stats.ncx2.cdf(b * b, 2, a * a))
