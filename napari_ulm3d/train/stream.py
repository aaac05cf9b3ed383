"""Batches in a fixed order, with scenes simulated in the background."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import numpy as np

from napari_ulm3d.train.config import TrainingConfig

__all__ = ["BatchStream"]


class BatchStream:
    """Batches for any step, independent of the steps requested before.

    Scenes come in groups. A group's windows are shuffled with the training's seed and the
    group's number, so a resumed training gets the same batches as an uninterrupted one.
    While one group is used for training, the next one is simulated.

    Parameters
    ----------
    config
        Settings of the training.
    make
        Creates the windows of a scene from its seed.
    processes
        Number of processes that simulate, to keep a GPU busy; `make` must then be importable
        in another process. 0: `data.workers` threads of this process. The batches are the same.
    """

    def __init__(
        self, config: TrainingConfig, make: Callable[[int], list[Any]], *, processes: int = 0
    ) -> None:
        self._config = config
        self._make = make
        self._pool: Executor
        if processes:
            # Not forked, since a process that uses a GPU cannot be forked.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(processes, context, _one_thread)
        else:
            self._pool = ThreadPoolExecutor(config.data.workers, thread_name_prefix="ulm3d-scenes")
        # Enough groups that none of them is idle.
        self._ahead = max(1, -(-processes // config.data.scenes_per_group))
        self._groups: dict[int, list[Future[list[Any]]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, step: int) -> list[Any]:
        """The windows for a step (from 0)."""
        config = self._config
        group, place = divmod(step, config.steps_per_group)
        wanted = range(group, group + self._ahead + 1)
        for g in [g for g in self._groups if g not in wanted]:
            for scene in self._groups.pop(g):
                scene.cancel()
        for g in wanted:
            if g == group or g * config.steps_per_group < config.steps:
                self._ask(g)
        windows = [window for scene in self._groups[group] for window in scene.result()]
        size = config.batch_windows
        orders = [
            np.random.default_rng((config.seed, group, turn)).permutation(len(windows))
            for turn in range(config.data.passes)
        ]
        order = np.concatenate(orders)
        return [windows[k] for k in order[place * size : (place + 1) * size]]

    def _ask(self, group: int) -> None:
        if group not in self._groups:
            data = self._config.data
            first = data.first_seed + group * data.scenes_per_group
            seeds = range(first, first + data.scenes_per_group)
            self._groups[group] = [self._pool.submit(self._make, seed) for seed in seeds]


def _one_thread() -> None:
    """Limit a process to one thread, since there is one process per core."""
    import numba
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    numba.set_num_threads(1)
    torch.set_num_threads(1)
