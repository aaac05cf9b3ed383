"""Links between bubbles in consecutive frames, supported by the frames before and after.

Two frames do not determine which of several bubbles goes where, but four usually do, since a
bubble's velocity hardly changes between frames. The cost of a link from i to j is the smallest
second difference with any link out of j, plus that with any link into i. Each pair of frames is
then assigned at minimum cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.link.assignment import cheapest

__all__ = ["chain"]

_UNLINKED = 0.9
"""A link supported on one side costs about a half, an unsupported one costs 1."""
_NEAR = 0.1
"""Weight of the displacement, to prefer the shorter of two equally supported links."""

SHORTEST = 3
"""Minimum number of rows in a track: fewer have no second difference."""


def chain(
    first: NDArray[np.int64],
    place: NDArray[np.float64],
    gate: NDArray[np.float64],
    bend: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Link the bubbles of consecutive frames.

    Parameters
    ----------
    first
        (t + 1,) frame k has rows first[k] to first[k + 1] - 1.
    place
        (n, 3) positions.
    gate
        (3,) maximum displacement: semi-axes of an ellipsoid, in units of `place`.
    bend
        (3,) maximum second difference, likewise.

    Returns
    -------
    (n,) rows before and after each row, -1 for none; tracks have at least three rows.
    """
    return _chain(first, place, gate, bend)


@njit(cache=True, nogil=True)
def _pairs(first, place, gate):  # type: ignore[no-untyped-def]
    """Links within the gate as compressed rows, and their squared lengths in units of the gate."""
    rows = np.zeros(len(place) + 1, np.int64)
    column = np.empty(4 * len(place) + 16, np.int64)
    length = np.empty(column.size)
    n = 0
    for t in range(first.size - 1):
        for i in range(first[t], first[t + 1]):
            stop = first[t + 2] if t + 2 < first.size else first[t + 1]
            for j in range(first[t + 1], stop):
                square = 0.0
                for a in range(3):
                    square += ((place[j, a] - place[i, a]) / gate[a]) ** 2
                if square <= 1.0:
                    if n == column.size:
                        column = np.concatenate((column, np.empty_like(column)))
                        length = np.concatenate((length, np.empty_like(length)))
                    column[n], length[n] = j, square
                    n += 1
            rows[i + 1] = n
    return rows, column[:n], length[:n]


@njit(cache=True, nogil=True)
def _chain(first, place, gate, bend):  # type: ignore[no-untyped-def]
    n = len(place)
    rows, column, length = _pairs(first, place, gate)
    ahead, behind = np.ones(column.size), np.ones(column.size)
    for i in range(n):
        for e in range(rows[i], rows[i + 1]):
            j = column[e]
            for f in range(rows[j], rows[j + 1]):
                k = column[f]
                square = 0.0
                for a in range(3):
                    square += ((place[k, a] - 2 * place[j, a] + place[i, a]) / bend[a]) ** 2
                ahead[e] = min(ahead[e], square)
                behind[f] = min(behind[f], square)
    cost = 0.5 * (ahead + behind) + _NEAR * length
    before, after = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    for t in range(first.size - 2):
        a, b, c = first[t], first[t + 1], first[t + 2]
        if a == b or b == c:
            continue
        low, high = rows[a], rows[b]
        target = cheapest(
            b - a, c - b, rows[a : b + 1] - low, column[low:high] - b, cost[low:high], _UNLINKED
        )
        for i in range(b - a):
            if target[i] >= 0:
                after[a + i] = b + target[i]
                before[b + target[i]] = a + i
    for i in range(n):
        if before[i] >= 0:
            continue
        k, many = i, 0
        while k >= 0:
            many += 1
            k = after[k]
        if many < SHORTEST:
            k = i
            while k >= 0:
                following = after[k]
                before[k] = after[k] = -1
                k = following
    return before, after
