"""Worker threads that each use one PyTorch thread.

Small sparse layers leave a second thread mostly idle; two windows in parallel do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

__all__ = ["one_threaded_workers"]


@contextmanager
def one_threaded_workers(
    workers: int, name: str, *, begin: Callable[[], None] | None = None, wait: bool = True
) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads use one PyTorch thread each.

    PyTorch's own number of threads is restored at the end, unless the caller changed it.

    Parameters
    ----------
    workers, name
        Number of threads, and the prefix of their names.
    begin
        Called at the start of each thread.
    wait
        Whether to wait for running work at the end; pending work is dropped.
    """

    def start() -> None:
        torch.set_num_threads(1)  # for this thread, and for those created from now on
        if begin is not None:
            begin()

    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, name, start)
    try:
        yield pool
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
        if torch.get_num_threads() == threads:
            torch.set_num_threads(threads)
