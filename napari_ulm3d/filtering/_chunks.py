"""Multi-threaded computation over chunks of voxels, with results independent of the thread count.

A multi-threaded BLAS divides sums differently depending on the number of threads, which changes
the last bits of its results. Here BLAS uses one thread, and chunks, whose borders depend
only on the shape, are distributed over our own thread pool.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from napari_ulm3d.system.machine import processors

__all__ = ["frame_slices", "n_threads", "one_blas_thread", "spread", "voxel_slices"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK_ELEMENTS = 1 << 19
"""Elements (frames x voxels) in a chunk: a few MB, large enough for efficient BLAS calls."""

_blas_lock = threading.RLock()


def n_threads() -> int:
    """Number of threads: `NUMBA_NUM_THREADS` if set, else the processors of this process."""
    asked = os.environ.get("NUMBA_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return processors()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Restrict BLAS to one thread; one caller at a time, since the limit is process-wide."""
    with _blas_lock, _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS libraries, cached, since searching all loaded libraries takes milliseconds."""
    import scipy.linalg  # noqa: F401  SciPy's BLAS is not NumPy's, and must be loaded to be found

    return ThreadpoolController()


def voxel_slices(n_voxels: int, n_frames: int) -> list[slice]:
    """Divide voxels into chunks of a few MB over all frames, depending only on the shape."""
    size = max(64, _CHUNK_ELEMENTS // max(1, n_frames))
    return [slice(a, min(a + size, n_voxels)) for a in range(0, n_voxels, size)]


def frame_slices(n_frames: int, parts: int) -> list[slice]:
    """Divide frames into at most `parts` equal, non-empty ranges."""
    parts = max(1, min(parts, n_frames))
    cuts = [n_frames * k // parts for k in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(cuts) if a < b]


def spread(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply `function` to every item on a thread pool; results keep the order of the items."""
    items = list(items)
    workers = min(n_threads(), len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ulm3d-filter") as pool:
        yield from pool.map(function, items)
