"""Run the pieces of a block through a network: in parallel, stoppable, smaller if memory runs out."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from napari_ulm3d.errors import BackendError, Cancelled

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["is_out_of_memory", "run_pieces", "windows_at_once"]

log = logging.getLogger("napari_ulm3d")

P = TypeVar("P")
T = TypeVar("T")

_ASK_EVERY_S = 0.1
"""Interval between calls of `stop`."""

_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "bad allocation")


def run_pieces(
    network: nn.Module,
    pieces: Iterable[P],
    compute: Callable[[P], T],
    *,
    halves: Callable[[P], Iterable[P] | None] | None = None,
    at_once: int | None = None,
    device: torch.device | str = "cpu",
    stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[P, T]]:
    """Compute the pieces of a block with a network, in order.

    On the CPU each piece uses one thread, and as many pieces run at once as PyTorch may
    use threads. This is faster than all threads on one piece.

    Parameters
    ----------
    network
        The network that `compute` calls; it can be stopped between layers.
    pieces
        The pieces in order.
    compute
        Computes a piece; called in other threads.
    halves
        Splits a piece that did not fit into memory; None if it cannot be split. Afterwards
        pieces are computed one at a time.
    at_once
        Number of concurrent pieces; None: `windows_at_once`.
    device
        Device of the network.
    stop
        Called ten times per second; a true result cancels.

    Raises
    ------
    Cancelled
        `stop` returned true.
    BackendError
        Memory is insufficient for a piece that cannot be split.
    """
    n_workers = at_once or windows_at_once(device)
    with _workers(network, n_workers) as submit:
        waiting = deque(pieces)
        pending: deque[tuple[P, Future[T]]] = deque()
        while pending or waiting:
            while waiting and len(pending) < n_workers:
                part = waiting.popleft()
                pending.append((part, submit(compute, part)))
            part, future = pending.popleft()
            try:
                result = _result(future, stop)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                wait([other for _, other in pending])
                waiting.extendleft(other for other, _ in reversed(pending))
                pending.clear()
                _free_cache(device)
                smaller = halves(part) if halves is not None else None
                alone = n_workers > 1
                if smaller is None and not alone:
                    raise BackendError(
                        f"The memory of the {'GPU' if _on_cuda(device) else 'computer'} does not "
                        f"suffice for {part}. Keep fewer voxels (sparsify.threshold), or close "
                        "other programs."
                    ) from error
                n_workers = 1
                again = [part] if smaller is None else list(smaller)
                waiting.extendleft(reversed(again))
                log.warning("memory ran out: one piece at a time from here on, smaller ones")
                continue
            yield part, result


def windows_at_once(device: torch.device | str) -> int:
    """Number of concurrent pieces: one on a GPU, otherwise one per thread."""
    import torch

    from napari_ulm3d.sparse import uses_tables

    return 1 if uses_tables(torch.device(device)) else torch.get_num_threads()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that GPU or main memory ran out."""
    import torch

    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)


# --- threads that a stop reaches within a forward pass -------------------------------------

_thread = threading.local()
_watched: WeakSet[Any] = WeakSet()
_watching = threading.Lock()


def _hear_stop(*_: Any) -> None:
    cancelled: threading.Event | None = getattr(_thread, "cancelled", None)
    if cancelled is not None and cancelled.is_set():
        raise Cancelled("The localization was cancelled.")


def _watch(network: nn.Module) -> None:
    """Make each layer check whether this thread was stopped; once per network."""
    with _watching:
        if network not in _watched:
            for module in network.modules():
                module.register_forward_pre_hook(_hear_stop)
            _watched.add(network)


@contextmanager
def _workers(network: nn.Module, workers: int) -> Iterator[Callable[..., Future[Any]]]:
    from napari_ulm3d.sparse.worker_threads import one_threaded_workers

    _watch(network)
    cancelled = threading.Event()

    def begin() -> None:
        _thread.cancelled = cancelled

    # A stop does not wait for layers in progress; their results are ignored.
    with one_threaded_workers(workers, "window", begin=begin, wait=False) as pool:
        try:
            yield pool.submit
        finally:
            cancelled.set()


def _result(future: Future[T], stop: Callable[[], bool] | None) -> T:
    while True:
        if stop is not None and stop():
            raise Cancelled("The run was cancelled; finished blocks are kept.")
        if wait([future], timeout=_ASK_EVERY_S).done:
            return future.result()


def _on_cuda(device: torch.device | str) -> bool:
    return str(device).startswith("cuda")


def _free_cache(device: torch.device | str) -> None:
    import torch

    if _on_cuda(device):
        torch.cuda.empty_cache()
