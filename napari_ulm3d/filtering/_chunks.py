"""Work over voxels in chunks on several threads, with results that do not depend on their number.

A multi-threaded BLAS splits sums differently with the number of threads, so the last bits
of its results differ. Here BLAS runs on one thread and the chunks, whose borders depend on
the shape alone, are spread over a pool of our own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

from threadpoolctl import threadpool_limits

from napari_ulm3d.system.machine import processors

__all__ = ["frame_slices", "n_threads", "one_blas_thread", "spread", "voxel_slices"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK_ELEMENTS = 1 << 19
"""Elements (frames x voxels) of a chunk: a few MB, large enough for BLAS to run well."""

_blas_lock = threading.RLock()


def n_threads() -> int:
    """Threads to use: `NUMBA_NUM_THREADS` where set, else the processors this process may use."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return processors()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread within; one caller at a time, since the limit is the process's."""
    with _blas_lock, threadpool_limits(limits=1, user_api="blas"):
        yield


def voxel_slices(n_voxels: int, n_frames: int) -> list[slice]:
    """Cut voxels into chunks of a few MB over all frames; depends on the shape alone."""
    size = max(64, _CHUNK_ELEMENTS // max(1, n_frames))
    return [slice(a, min(a + size, n_voxels)) for a in range(0, n_voxels, size)]


def frame_slices(n_frames: int, parts: int) -> list[slice]:
    """Cut frames into at most `parts` even, non-empty runs."""
    parts = max(1, min(parts, n_frames))
    cuts = [n_frames * k // parts for k in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(cuts) if a < b]


def spread(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`function` of every item on a pool of threads; results come in the items' order."""
    items = list(items)
    workers = min(n_threads(), len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ulm3d-filter") as pool:
        yield from pool.map(function, items)
