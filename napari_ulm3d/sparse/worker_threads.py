"""Worker threads that each compute with one thread of PyTorch.

Small sparse layers leave most of a second thread idle; two windows side by side do not.
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
    """A pool whose threads compute with one thread of PyTorch each.

    The number of threads that PyTorch may use stays what it was, unless the caller changed it.

    Parameters
    ----------
    workers, name
        How many, and what their names begin with.
    begin
        Called at the start of each.
    wait
        Whether the end waits for work that is under way; what has not begun is dropped.
    """

    def start() -> None:
        torch.set_num_threads(1)  # of this thread, and of those that are made from here on
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
