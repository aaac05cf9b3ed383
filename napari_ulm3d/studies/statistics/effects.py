"""One comparison of two samples of animals: difference, interval, effect size, p-value.

Sources: Welch (1947) for unequal variances; Hedges (1981) for the correction of the standardized
difference; Steiger and Fouladi (1997) for its interval from the noncentral t distribution. A
permutation test of Welch's statistic is exact for equal distributions and keeps its level for large
samples with unequal variances (Janssen 1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, lgamma, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "Effect", "detectable", "independent", "paired"]

Test = Literal["welch", "permutation"]
#: Minimum number of animals per group (or of pairs) for a test.
FEWEST = 3
_POWER = 0.8
_RESAMPLES = 9999
_NODES = 4000


@dataclass(frozen=True)
class Effect:
    """Comparison of sample b with sample a. NaN if there are too few animals.

    Attributes
    ----------
    n_a, n_b
        Number of animals; for pairs, both are the number of pairs.
    mean_a, mean_b, sd_a, sd_b
        Mean and standard deviation of the samples.
    difference, low, high
        mean_b - mean_a and its confidence interval by t, uncorrected.
    g, g_low, g_high
        Hedges' g with its confidence interval; for pairs relative to the spread of differences.
    p
        Two-sided, uncorrected.
    spread
        The standard deviation that is the unit of g.
    """

    n_a: int
    n_b: int
    mean_a: float
    mean_b: float
    sd_a: float
    sd_b: float
    difference: float
    low: float = np.nan
    high: float = np.nan
    g: float = np.nan
    g_low: float = np.nan
    g_high: float = np.nan
    p: float = np.nan
    spread: float = np.nan


def independent(
    a: NDArray[np.float64], b: NDArray[np.float64], alpha: float = 0.05, test: Test = "welch"
) -> Effect:
    """Compare two groups of different animals.

    Parameters
    ----------
    a, b
        One value per animal.
    alpha
        Intervals have the level 1 - alpha.
    test
        ``welch``: t test for unequal variances; ``permutation``: its statistic under relabelling,
        with all labellings if there are fewer than 10,000.
    """
    from scipy import stats

    told = _described(a, b)
    if min(len(a), len(b)) < FEWEST or told["sd_a"] + told["sd_b"] == 0:
        return Effect(**told)
    found: Any = stats.ttest_ind(b, a, equal_var=False)
    interval = found.confidence_interval(1 - alpha)
    p = found.pvalue
    if test == "permutation":
        p = stats.permutation_test(
            (b, a), _welch, permutation_type="independent", vectorized=True,
            n_resamples=_RESAMPLES, rng=np.random.default_rng(0),
        ).pvalue  # fmt: skip
    df = len(a) + len(b) - 2
    spread = sqrt(((len(a) - 1) * told["sd_a"] ** 2 + (len(b) - 1) * told["sd_b"] ** 2) / df)
    size = sqrt(1 / len(a) + 1 / len(b))
    g = _hedges(told["difference"] / spread, size, df, alpha)
    return Effect(**told, low=interval.low, high=interval.high, p=float(p), spread=spread, **g)


def paired(
    a: NDArray[np.float64], b: NDArray[np.float64], alpha: float = 0.05, test: Test = "welch"
) -> Effect:
    """Compare the same animals at two times: a before, b after, in the same order.

    ``permutation`` permutes the signs of the differences.
    """
    from scipy import stats

    change = b - a
    told = _described(a, b)
    spread = float(change.std(ddof=1)) if len(change) > 1 else np.nan
    if len(change) < FEWEST or not spread > 0:
        return Effect(**told)
    found: Any = stats.ttest_1samp(change, 0.0)
    interval = found.confidence_interval(1 - alpha)
    p = found.pvalue
    if test == "permutation":
        p = stats.permutation_test(
            (change,), _one_sample, permutation_type="samples", vectorized=True,
            n_resamples=_RESAMPLES, rng=np.random.default_rng(0),
        ).pvalue  # fmt: skip
    g = _hedges(told["difference"] / spread, sqrt(1 / len(change)), len(change) - 1, alpha)
    return Effect(**told, low=interval.low, high=interval.high, p=float(p), spread=spread, **g)


@lru_cache(maxsize=1024)
def detectable(n_a: int, n_b: int | None, alpha: float) -> float:
    """Standardized difference that a t test with this number of animals detects in 4 of 5 cases.

    Parameters
    ----------
    n_a, n_b
        Number of animals in two groups; `n_b` None: `n_a` pairs.
    alpha
        Two-sided level.
    """
    from scipy import optimize, stats

    df, size = (n_a - 1, sqrt(1 / n_a)) if n_b is None else (n_a + n_b - 2, sqrt(1 / n_a + 1 / n_b))
    critical = float(stats.t.isf(alpha / 2, df))

    def missing(d: float) -> float:
        power = 1 - _noncentral_t(critical, df, d / size) + _noncentral_t(-critical, df, d / size)
        return power - _POWER

    high = 4 * critical * size
    return float(optimize.brentq(missing, 1e-6, high)) if missing(high) > 0 else np.inf


def _described(a: NDArray[np.float64], b: NDArray[np.float64]) -> dict[str, Any]:
    mean_a, mean_b = (float(v.mean()) if len(v) else np.nan for v in (a, b))
    sd_a, sd_b = (float(v.std(ddof=1)) if len(v) > 1 else np.nan for v in (a, b))
    return {
        "n_a": len(a),
        "n_b": len(b),
        "mean_a": mean_a,
        "mean_b": mean_b,
        "sd_a": sd_a,
        "sd_b": sd_b,
        "difference": mean_b - mean_a,
    }


def _hedges(d: float, size: float, df: int, alpha: float) -> dict[str, Any]:
    """Hedges' g and its interval for a standardized difference with t = d / size."""
    from scipy import optimize

    shrink = exp(lgamma(df / 2) - lgamma((df - 1) / 2)) / sqrt(df / 2)
    t = d / size

    def centre(share: float) -> float:
        """The noncentrality for which t is at this quantile of its distribution."""
        reach = 5 + 3 * abs(t)
        return float(
            optimize.brentq(lambda nc: _noncentral_t(t, df, nc) - share, t - reach, t + reach)
        )

    low, high = centre(1 - alpha / 2) * size, centre(alpha / 2) * size
    return {"g": shrink * d, "g_low": shrink * low, "g_high": shrink * high}


def _noncentral_t(t: float, df: int, centre: float) -> float:
    """P(T <= t) of noncentral t, as the mean over chi of a normal probability.

    scipy's `nct` is NaN far from the centre, where the search for an interval begins.
    """
    from scipy.special import ndtr

    return float(ndtr(t * _chi(df) - centre).mean())


@lru_cache(maxsize=64)
def _chi(df: int) -> NDArray[np.float64]:
    """Quantiles of chi / sqrt(df), evenly spread in probability."""
    from scipy import stats

    return np.asarray(np.sqrt(stats.chi2.ppf((np.arange(_NODES) + 0.5) / _NODES, df) / df))


def _welch(b: NDArray[np.float64], a: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    spread = b.var(axis=axis, ddof=1) / b.shape[axis] + a.var(axis=axis, ddof=1) / a.shape[axis]
    return _over(b.mean(axis=axis) - a.mean(axis=axis), spread)


def _one_sample(change: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    spread = change.var(axis=axis, ddof=1) / change.shape[axis]
    return _over(change.mean(axis=axis), spread)


def _over(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean divided by standard error; a zero variance is replaced by the smallest float."""
    return np.asarray(mean / np.sqrt(np.maximum(variance, np.finfo(float).tiny)))
