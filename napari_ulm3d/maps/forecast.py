"""Forecast the saturation: extrapolate the curve to find the acquisition time needed.

Voxels fill as a Poisson process: of `V` voxels that bubbles can reach, ``V (1 - exp(-r t))``
are reached by time t (the exponential filling of Hingot et al., Sci. Rep. 9:2456, 2019).
Large vessels fill faster than capillaries, so the rates of voxels differ. Two distributions of
rates with squared coefficient of variation c are considered. With a gamma distribution, many
voxels are hardly ever reached: ``V (1 - (1 + c r t)^(-1 / c))`` (Efron & Thisted, Biometrika
63:435-447, 1976, for counts of species). With an inverse Gaussian distribution, few are:
``V (1 - exp((1 - sqrt(1 + 2 c r t)) / c))`` (Sichel, J. Am. Stat. Assoc. 70:542-547, 1975,
for counts of words). Both reduce to the exponential at c = 0.

The fit uses the numbers of new voxels per time interval, which are nearly independent, rather than
the points of the curve, which are not. A track reaches many voxels at once; this overdispersion
is estimated from the scatter and widens the intervals (quasi-likelihood; McCullagh & Nelder,
Generalized Linear Models, 1989). An interval covers all pairs (r, c) that the data do not
exclude.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Estimate", "Forecast", "forecast_saturation"]

_BINS = 50  # maximum; with few voxels per bin, the scatter would not be normal
_FEWEST_BINS = 6
_FEWEST_VOXELS = 50
_FURTHEST = 4  # end of the extrapolation, in durations
_RATES = (0.01, 60.0)  # r times the duration
_SPREADS = (-4.0, 4.0)  # c; below 0 for an inverse Gaussian, above for a gamma distribution
_POINTS = 81  # grid points per parameter; the grid is refined around the allowed values
_CLOSER = 3
_NO_SPREAD = 1e-9  # so small that the curve is exponential
_WIDEST = 2.0
"""Largest ratio of the bounds of the curve's end at which it counts as determined."""
_SHARES = (0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Estimate:
    """A value and the bounds of its interval."""

    value: float
    low: float
    high: float

    def text(self, scale: float = 1.0, form: str = ".0f", unit: str = "") -> str:
        """Text such as ``62 % (55 to 70 %)``; a single number if the bounds look equal."""
        value, low, high = (f"{scale * v:{form}}" for v in (self.value, self.low, self.high))
        return f"{value}{unit}" if low == high else f"{value}{unit} ({low} to {high}{unit})"


@dataclass(frozen=True)
class Forecast:
    """An extrapolated saturation curve.

    Attributes
    ----------
    duration_s
        Duration of the acquisition.
    reached
        Number of voxels reached by then.
    curve
        Columns time_s, voxels, low, high: the forecast up to four times the duration. Empty
        without a forecast.
    final
        Number of voxels that an endless acquisition would reach; None if undetermined.
    share
        Share of these that is already reached.
    doubled
        Factor by which the number of voxels would grow with twice the duration.
    time_s
        Time at which each share of `final` (0.8, 0.9, 0.95) is reached.
    reason
        Explanation and remedy if something is undetermined; otherwise empty.
    """

    duration_s: float
    reached: int
    curve: pd.DataFrame
    final: Estimate | None = None
    share: Estimate | None = None
    doubled: Estimate | None = None
    time_s: dict[float, Estimate] = field(default_factory=dict)
    reason: str = ""

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for printing."""
        rows = []
        if self.share is not None:
            told = self.share.text(100, unit=" %")
            rows.append(("map filled", f"{told} of the voxels that bubbles would ever reach"))
        if self.doubled is not None:
            rows.append(("twice as long", f"{self.doubled.text(1, '.2f')} times the voxels"))
        later = {s: at for s, at in self.time_s.items() if at.value > self.duration_s}
        if later:
            share, at = next(iter(later.items()))
            rows.append((f"{share:.0%} filled after", at.text(1, ".3g", " s")))
        if self.reason:
            rows.append(("forecast", self.reason))
        return rows


def forecast_saturation(curve: pd.DataFrame) -> Forecast:
    """Extrapolate a saturation curve, with 90 % intervals.

    Parameters
    ----------
    curve
        ``time_s`` and ``voxels_reached``, from `saturation_curve`.

    Returns
    -------
    Forecast
        Undetermined values are None, with the reason in `Forecast.reason`.
    """
    time_s, reached = _binned(curve)
    new = np.diff(reached)
    end, total = (float(time_s[-1]), int(reached[-1])) if len(time_s) else (0.0, 0)
    nothing = pd.DataFrame({name: np.zeros(0) for name in ("time_s", "voxels", "low", "high")})
    if total < _FEWEST_VOXELS or np.count_nonzero(new) < _FEWEST_BINS:
        return Forecast(
            end, total, nothing,
            reason="Too few voxels were reached for a forecast. Acquire for longer.",
        )  # fmt: skip
    allowed = _allowed(time_s / end, new)
    inside, best = allowed.inside, allowed.best
    filled = 1 - allowed.model(np.ones(1))
    final = total / filled[..., 0]
    ahead = np.linspace(1, _FURTHEST, 61)
    more = total * (1 - allowed.model(ahead)) / filled
    table = _with_bounds(more, total, allowed)
    table.insert(0, "time_s", ahead * end)
    double = table.iloc[np.searchsorted(ahead, 2.0)]
    doubled = Estimate(*(float(double[name]) / total for name in ("voxels", "low", "high")))
    bounds = Estimate(float(final[best]), float(final[inside].min()), float(final[inside].max()))
    if allowed.endless or bounds.high > _WIDEST * bounds.low:
        return Forecast(
            end, total, table, doubled=doubled,
            reason="The share of the vessels in the map cannot be determined: its curve does not "
            "bend enough yet. Acquire for longer.",
        )  # fmt: skip
    return Forecast(
        end, total, table, bounds,
        Estimate(total / bounds.value, total / bounds.high, total / bounds.low),
        doubled, {share: allowed.time_of(share, end) for share in _SHARES},
    )  # fmt: skip


def _binned(curve: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and voxels in at most `_BINS` intervals of equal length, from 0 voxels at time 0."""
    time_s = curve["time_s"].to_numpy(np.float64)
    reached = curve["voxels_reached"].to_numpy(np.float64)
    if not len(time_s) or not time_s[-1] > 0:
        return np.zeros(0), np.zeros(0)
    kept = np.unique(np.linspace(0, len(time_s) - 1, _BINS + 1).round().astype(int))
    time_s, reached = time_s[kept], reached[kept]
    if time_s[0] > 0:
        return np.concatenate([[0.0], time_s]), np.concatenate([[0.0], reached])
    reached = reached.copy()
    reached[0] = 0
    return time_s, reached


@dataclass(frozen=True)
class _Allowed:
    """The curves that the data do not exclude.

    Attributes
    ----------
    spreads, rates
        (s,) and (r,) grid of the two parameters, the rates in units of 1 / duration.
    inside
        (s, r) which pairs are not excluded.
    best
        The pair that fits best.
    scatter
        Ratio of variance to mean of the numbers of new voxels.
    endless
        Whether the data allow an almost straight curve.
    """

    spreads: NDArray[np.float64]
    rates: NDArray[np.float64]
    inside: NDArray[np.bool_]
    best: tuple[int, int]
    scatter: float
    endless: bool

    def model(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """(s, r, n) shares of voxels not yet reached at times in units of the duration."""
        return _empty(self.spreads, self.rates, time)

    def time_of(self, share: float, duration_s: float) -> Estimate:
        """Time at which a share of all voxels is reached."""
        c, left = _spread(self.spreads)[:, None], -np.log(1 - share)
        gamma = np.expm1(c * left) / c
        gaussian = left + c * left**2 / 2
        time_s = duration_s * np.where(self.spreads[:, None] > 0, gamma, gaussian) / self.rates
        among = time_s[self.inside]
        return Estimate(float(time_s[self.best]), float(among.min()), float(among.max()))


def _empty(
    spreads: NDArray[np.float64], rates: NDArray[np.float64], time: NDArray[np.float64]
) -> NDArray[np.float64]:
    c, rt = _spread(spreads)[:, None, None], rates[:, None] * time
    gamma = np.log1p(c * rt) / c
    gaussian = (
        2 * rt / (1 + np.sqrt(1 + 2 * c * rt))
    )  # (sqrt(1 + 2 c rt) - 1) / c, without cancellation
    return np.exp(-np.where(spreads[:, None, None] > 0, gamma, gaussian))


def _spread(spreads: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(np.abs(spreads), _NO_SPREAD)


def _allowed(time: NDArray[np.float64], new: NDArray[np.float64]) -> _Allowed:
    """Search the two parameters on a grid that is refined around those not excluded."""
    from scipy.special import chdtri

    spreads, rates = np.linspace(*_SPREADS, _POINTS), np.geomspace(*_RATES, 2 * _POINTS)
    endless = False
    for closer in range(_CLOSER):
        empty = _empty(spreads, rates, time)
        share = np.maximum(-np.diff(empty, axis=-1) / (1 - empty[..., -1:]), 1e-300)
        likelihood = (new * np.log(share)).sum(axis=-1)
        s, r = np.unravel_index(int(np.argmax(likelihood)), likelihood.shape)
        best = (int(s), int(r))
        expected = new.sum() * share[best]
        known = expected > 0.5  # with fewer, the squared deviation is far from its mean
        square = ((new - expected) ** 2 / np.maximum(expected, 0.5))[known]
        scatter = max(float(square.sum()) / max(int(known.sum()) - 3, 1), 1.0)
        inside = 2 * (likelihood[best] - likelihood) / scatter <= chdtri(1, 0.1)
        if not closer:
            endless = bool(inside[:, 0].any())
        if closer + 1 < _CLOSER:
            low, high = _around(inside.any(axis=1), spreads)
            slow, fast = _around(inside.any(axis=0), rates)
            spreads, rates = np.linspace(low, high, _POINTS), np.geomspace(slow, fast, 2 * _POINTS)
    return _Allowed(spreads, rates, inside, best, scatter, endless)


def _around(there: NDArray[np.bool_], values: NDArray[np.float64]) -> tuple[float, float]:
    """Range of grid values that are set, extended by one step on both sides."""
    at = np.flatnonzero(there)
    return float(values[max(at[0] - 1, 0)]), float(values[min(at[-1] + 1, values.size - 1)])


def _with_bounds(more: NDArray[np.float64], total: int, allowed: _Allowed) -> pd.DataFrame:
    """Voxels at later times, with bounds from the fit and the randomness of future voxels."""
    middle, among = more[allowed.best], more[allowed.inside]
    chance = 1.645**2 * allowed.scatter * np.maximum(middle - total, 0)
    low = middle - np.sqrt((middle - among.min(axis=0)) ** 2 + chance)
    high = middle + np.sqrt((among.max(axis=0) - middle) ** 2 + chance)
    return pd.DataFrame({"voxels": middle, "low": np.maximum(low, total), "high": high})
