"""Windows of a block through a network: several at once, stoppable, shorter where memory ends."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import BackendError, Cancelled

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Span", "is_out_of_memory", "run_windows"]

log = logging.getLogger("napari_ulm3d")

T = TypeVar("T")

_ASK_EVERY_S = 0.1
"""How often `stop` is asked while windows are computed."""

_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "bad allocation")


@dataclass(frozen=True)
class Span:
    """Frames of a window: `start` to `stop` - 1 are given, `first` to `last` - 1 are kept."""

    start: int
    stop: int
    first: int
    last: int


def run_windows(
    network: nn.Module,
    counts: NDArray[np.int64],
    compute: Callable[[Span], T],
    *,
    window_frames: int,
    margin_frames: int = 0,
    most_voxels: float = np.inf,
    may_shrink: bool = True,
    device: torch.device | str = "cpu",
    stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[Span, T]]:
    """What a network says of the windows of a block, in order.

    On the CPU every window is computed by one thread, and as many windows at once as PyTorch
    may use threads: faster than all threads on one window, and the same bits whatever their
    number.

    Parameters
    ----------
    network
        What `compute` calls; a stop is heard between its layers.
    counts
        (t,) voxels kept a frame.
    compute
        The work; called in other threads.
    window_frames, margin_frames
        Frames of a window, and how many of them at either end serve as context alone.
    most_voxels
        A window of more voxels is shortened, down to one frame with its margins.
    may_shrink
        False: a window is never halved.
    device
        Where the network is.
    stop
        Asked ten times a second.

    Raises
    ------
    Cancelled
        `stop` said so.
    BackendError
        The memory does not suffice for the smallest window.
    """
    n_frames = len(counts)
    told = False
    before = np.concatenate([[0], np.cumsum(counts)])
    smallest = 2 * margin_frames + 1 if may_shrink else window_frames
    window = window_frames

    def span(first: int) -> Span:
        nonlocal told
        size = window
        while True:
            start = max(0, first - margin_frames)
            # At the block's ends there is no margin to leave room for.
            last = n_frames if start + size >= n_frames else start + size - margin_frames
            end = min(n_frames, last + margin_frames)
            if before[end] - before[start] <= most_voxels or size == smallest:
                return Span(start, end, first, last)
            size = max(smallest, size * 4 // 5)
            if not told:
                told = True
                log.info("windows are shortened to at most %d voxels", most_voxels)

    with _workers(network, device) as (submit, n_workers):
        pending: deque[tuple[Span, Future[T]]] = deque()
        first = 0
        while pending or first < n_frames:
            while first < n_frames and len(pending) < n_workers:
                part = span(first)
                pending.append((part, submit(compute, part)))
                first = part.last
            part, future = pending.popleft()
            try:
                result = _result(future, stop)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                wait([other for _, other in pending])
                pending.clear()
                _free_cache(device)
                size = min(window, part.stop - part.start)
                if size <= smallest:
                    raise BackendError(
                        f"The memory of the {'GPU' if _on_cuda(device) else 'computer'} does not "
                        f"suffice for a window of {part.stop - part.start} frames with "
                        f"{before[part.stop] - before[part.start]:,} voxels. Keep fewer voxels "
                        "(sparsify.threshold), or close other programs."
                    ) from error
                window, n_workers, first = max(smallest, size // 2), 1, part.first
                log.warning("memory ran out: windows of %d frames from here on", window)
                continue
            yield part, result


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in main memory."""
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
        raise Cancelled("The localization was stopped.")


def _watch(network: nn.Module) -> None:
    """Before each layer, look whether this thread's work was stopped. Done once a network."""
    with _watching:
        if network not in _watched:
            for module in network.modules():
                module.register_forward_pre_hook(_hear_stop)
            _watched.add(network)


@contextmanager
def _workers(
    network: nn.Module, device: torch.device | str
) -> Iterator[tuple[Callable[..., Future[Any]], int]]:
    import torch

    from napari_ulm3d.sparse.worker_threads import one_threaded_workers

    _watch(network)
    cancelled = threading.Event()
    workers = 1 if _on_cuda(device) else torch.get_num_threads()

    def begin() -> None:
        _thread.cancelled = cancelled

    # Whoever stopped does not wait for layers that are being computed: they end unheard.
    with one_threaded_workers(workers, "window", begin=begin, wait=False) as pool:
        try:
            yield pool.submit, workers
        finally:
            cancelled.set()


def _result(future: Future[T], stop: Callable[[], bool] | None) -> T:
    while True:
        if stop is not None and stop():
            raise Cancelled("The run was stopped; finished blocks are kept.")
        if wait([future], timeout=_ASK_EVERY_S).done:
            return future.result()


def _on_cuda(device: torch.device | str) -> bool:
    return str(device).startswith("cuda")


def _free_cache(device: torch.device | str) -> None:
    import torch

    if _on_cuda(device):
        torch.cuda.empty_cache()
