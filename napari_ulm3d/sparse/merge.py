"""Merge two sorted lists of keys for every offset of a kernel, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["merge_pairs"]

# Rows per task: many more tasks than cores, and a result independent of the number of cores.
_BLOCK = 16384


def merge_pairs(
    fine: NDArray[np.int64],
    base: NDArray[np.int64],
    outer: NDArray[np.int64],
    width: int,
    kept: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Rows (i, j) with ``fine[i] == base[j] + outer[q] + w`` for each offset ``q * width + w``.

    Offsets along the last axis have consecutive keys, so one merge finds them all. This takes
    ``len(outer)`` merges instead of ``len(outer) * width`` searches.

    Parameters
    ----------
    fine, base
        (n,) and (m,) ascending keys.
    outer
        Key steps of the offsets along all axes but the last.
    width
        Length of the kernel along the last axis.
    kept
        Number of offsets wanted, from the first.

    Returns
    -------
    fine_rows, base_rows : (pairs,) int32
    starts : (kept + 1,) int64
        First pair of each offset, and the end.
    """
    n_outer = -(-kept // width)
    n_blocks = -(-len(base) // _BLOCK)
    if not kept or not n_blocks or not len(fine):
        empty = np.empty(0, np.int32)
        return empty, empty.copy(), np.zeros(kept + 1, np.int64)
    counts = np.zeros((n_outer, width, n_blocks), np.int64)
    _count(fine, base, outer, width, kept, counts)
    ends = np.cumsum(counts.reshape(-1))
    starts = np.concatenate((np.zeros(1, np.int64), ends))
    first = np.ascontiguousarray(starts[:-1]).reshape(counts.shape)
    fine_rows, base_rows = np.empty(ends[-1], np.int32), np.empty(ends[-1], np.int32)
    _fill(fine, base, outer, width, kept, first, fine_rows, base_rows)
    return fine_rows, base_rows, starts[::n_blocks][: kept + 1].copy()


@njit(cache=True, parallel=True, nogil=True)
def _count(fine, base, outer, width, kept, counts):  # type: ignore[no-untyped-def]
    n_blocks = counts.shape[2]
    for task in prange(counts.shape[0] * n_blocks):
        q, block = task // n_blocks, task % n_blocks
        reach = min(width, kept - q * width)
        begin, end = block * _BLOCK, min(len(base), (block + 1) * _BLOCK)
        seen = np.zeros(reach, np.int64)
        at = np.searchsorted(fine, base[begin] + outer[q])
        for j in range(begin, end):
            low = base[j] + outer[q]
            while at < len(fine) and fine[at] < low:
                at += 1
            i = at
            while i < len(fine) and fine[i] < low + reach:
                seen[fine[i] - low] += 1
                i += 1
        for w in range(reach):
            counts[q, w, block] = seen[w]


@njit(cache=True, parallel=True, nogil=True)
def _fill(fine, base, outer, width, kept, first, fine_rows, base_rows):  # type: ignore[no-untyped-def]
    n_blocks = first.shape[2]
    for task in prange(first.shape[0] * n_blocks):
        q, block = task // n_blocks, task % n_blocks
        reach = min(width, kept - q * width)
        begin, end = block * _BLOCK, min(len(base), (block + 1) * _BLOCK)
        to = np.zeros(reach, np.int64)
        for w in range(reach):
            to[w] = first[q, w, block]
        at = np.searchsorted(fine, base[begin] + outer[q])
        for j in range(begin, end):
            low = base[j] + outer[q]
            while at < len(fine) and fine[at] < low:
                at += 1
            i = at
            while i < len(fine) and fine[i] < low + reach:
                w = fine[i] - low
                fine_rows[to[w]] = i
                base_rows[to[w]] = j
                to[w] += 1
                i += 1
