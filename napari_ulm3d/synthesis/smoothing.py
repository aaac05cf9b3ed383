"""What a track says of each of its positions, from the data of all other frames.

Positions x along a track have second differences that are normally distributed with standard
deviation `jerk`; each frame gives a position y with precision h. The posterior precision is
A = P + diag(h), with P = D'D / jerk^2 of bandwidth 2. Its factors give the means, and the elements of
its inverse near the diagonal (Takahashi et al., Proc. 8th PICA, 63 (1973)) the variances, both in
one pass up and one down. Taking away a frame's own data leaves what the others say of it,
so that a step of one bubble takes the whole track into account.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from napari_ulm3d._caches import njit

__all__ = ["expected"]

_RIDGE = 1e-6
"""Least precision of a position, in units of that of a second difference."""


@njit(cache=True, nogil=True, parallel=True)
def expected(before, after, seen, known, jerk, mean, hold):  # type: ignore[no-untyped-def]
    """Write what the other frames of a track say of each position, and how precisely.

    Parameters
    ----------
    before, after
        (n,) rows of the same track in the frames before and after; -1: none.
    seen, known
        (n, 3) positions by the frame alone, and their precisions.
    jerk
        (3,) standard deviation of a second difference.
    mean, hold
        (n, 3) results: expected positions and their precisions, 0 without a track.
    """
    first = np.flatnonzero(before < 0)
    for f in prange(first.size):
        n, k = 0, first[f]
        while k >= 0:
            n += 1
            k = after[k]
        row = np.empty(n, np.int64)
        k = first[f]
        for i in range(n):
            row[i] = k
            k = after[k]
        if n < 3:
            for i in range(n):
                hold[row[i]] = 0.0
            continue
        d, l1, l2, x = np.empty(n), np.zeros(n), np.zeros(n), np.empty(n)
        for axis in range(3):
            unit = 1.0 / (jerk[axis] * jerk[axis])
            # A = L diag(d) L', and the forward solution.
            for i in range(n):
                inner = (i >= 2) + 4 * (1 <= i <= n - 2) + (i <= n - 3)
                h = known[row[i], axis] + _RIDGE * unit
                b = 0.0
                if i >= 2:
                    l2[i] = unit / d[i - 2]
                if i >= 1:
                    b = -2.0 * unit * ((i >= 2) + (i <= n - 2))
                    if i >= 2:
                        b -= l2[i] * d[i - 2] * l1[i - 1]
                    l1[i] = b / d[i - 1]
                d[i] = inner * unit + h
                x[i] = h * seen[row[i], axis]
                if i >= 1:
                    d[i] -= l1[i] * l1[i] * d[i - 1]
                    x[i] -= l1[i] * x[i - 1]
                if i >= 2:
                    d[i] -= l2[i] * l2[i] * d[i - 2]
                    x[i] -= l2[i] * x[i - 2]
            # The solution, and the variances: elements (i + 1, i + 1), (i + 1, i + 2), (i + 2, i + 2)
            # of the inverse.
            near, cross, far = 0.0, 0.0, 0.0
            for i in range(n - 1, -1, -1):
                x[i] /= d[i]
                c1, c2 = 0.0, 0.0
                if i + 1 < n:
                    x[i] -= l1[i + 1] * x[i + 1]
                    c1 = -l1[i + 1] * near
                    c2 = -l1[i + 1] * cross
                if i + 2 < n:
                    x[i] -= l2[i + 2] * x[i + 2]
                    c1 -= l2[i + 2] * cross
                    c2 -= l2[i + 2] * far
                variance = 1.0 / d[i]
                if i + 1 < n:
                    variance -= l1[i + 1] * c1
                if i + 2 < n:
                    variance -= l2[i + 2] * c2
                near, cross, far = variance, c1, near
                h = known[row[i], axis] + _RIDGE * unit
                rest = 1.0 / variance - h
                hold[row[i], axis] = max(rest, 0.0)
                if rest > 0.0:
                    mean[row[i], axis] = (x[i] / variance - h * seen[row[i], axis]) / rest
