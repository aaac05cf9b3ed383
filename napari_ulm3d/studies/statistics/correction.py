"""Correct p-values for the number of comparisons."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["corrected"]


def corrected(
    p: ArrayLike, method: Literal["holm", "benjamini-hochberg"] = "holm"
) -> NDArray[np.float64]:
    """Correct the p-values of one family of tests; NaN (not tested) is kept and does not count.

    Holm (1979) bounds the probability of any false finding, whatever the dependence of the
    measures; Benjamini and Hochberg (1995) bound the expected share of false findings.
    """
    values = np.asarray(p, np.float64)
    out = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    told = values[known]
    if not told.size:
        return out
    if method == "benjamini-hochberg":
        from scipy.stats import false_discovery_control

        out[known] = false_discovery_control(told, method="bh")
        return out
    order = np.argsort(told)
    steps = told[order] * np.arange(len(told), 0, -1)
    holm = np.empty(len(told))
    holm[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    out[known] = holm
    return out
