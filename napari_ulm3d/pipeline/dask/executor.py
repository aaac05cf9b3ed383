"""Process blocks on a Dask cluster: workers on this computer, or a running cluster.

A worker reads its block itself, so frames are never transferred, only the tables and the
power Doppler of a block. Results are collected in the order of the blocks, with just enough
blocks under way to keep the workers busy. Memory thus stays bounded, and the result is
identical to that of a single process. If a worker dies, its block is tried again with nothing
else under way, to find the block that kills workers.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from napari_ulm3d.acquisition import Acquisition, Block, source_path
from napari_ulm3d.calibrate import (
    BlockLength,
    BlockMeasurement,
    Calibration,
    calibrated,
    chosen_length,
)
from napari_ulm3d.calibrate.block_length import Shares
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import BackendError, BlockError, Cancelled, InputError, UlmError
from napari_ulm3d.pipeline.attempts import Attempt, of_settings
from napari_ulm3d.pipeline.dask.client import START_S, connected_client, local_client
from napari_ulm3d.pipeline.dask.worker import measured_block, measured_shares, work_on
from napari_ulm3d.pipeline.executors import ATTEMPTS, Job, Stop
from napari_ulm3d.pipeline.memory import return_free_memory
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.progress import TellShare
from napari_ulm3d.system.machine import peak_memory

__all__ = ["Cluster"]

log = logging.getLogger("napari_ulm3d")

_POLL_S = 0.2
_WITHOUT_WORKERS_S = 300.0


@dataclass
class _Flight:
    """A job and the future of its outcome (None if an earlier result is reused)."""

    job: Job
    future: Any


class Cluster:
    """The workers of a run; a context manager, and the run's `Executor`.

    Parameters
    ----------
    acquisition
        Files, at paths that the workers can read.
    config
        Settings of the run; its device determines whether each worker gets a GPU.
    execution
        Number of local workers, or address of a cluster.

    Raises
    ------
    InputError
        Frames exist only in memory or are generated, so workers cannot read them.
    BackendError
        Dask is missing, the scheduler does not answer or has no workers, or the workers lack
        this version of the package.
    """

    def __init__(
        self, acquisition: Acquisition, config: PipelineConfig, execution: Execution
    ) -> None:
        _refuse_unreachable(acquisition)
        if find_spec("distributed") is None:
            raise BackendError("Workers need Dask: pip install 'napari-ulm3d[cluster]'.")
        self._acquisition, self._config, self._execution = acquisition, config, execution
        self._peaks: dict[str, int] = {}
        self._n_workers = self._seen_s = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._client = (
                local_client(stack, self._execution, self._config)
                if self._execution.scheduler is None
                else connected_client(stack, self._execution)
            )
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def n_workers(self) -> int:
        """Current number of workers."""
        return len(self._client.nthreads())

    @property
    def dashboard(self) -> str:
        """Address of the Dask dashboard; empty without bokeh."""
        has_pages = self._execution.scheduler is not None or find_spec("bokeh") is not None
        return str(self._client.dashboard_link or "") if has_pages else ""

    def calibrate(
        self, blocks: Sequence[Block], acquisition: Acquisition, config: PipelineConfig
    ) -> Calibration:
        """Calibrate on a few blocks, measured by workers."""

        def found(block: Block) -> BlockMeasurement:
            measured: BlockMeasurement = self._asked(
                block, measured_block, acquisition.only(block), config
            )
            return measured

        return calibrated(found, blocks, acquisition, config)

    def block_length(
        self, acquisition: Acquisition, config: PipelineConfig, most_frames: int | None
    ) -> BlockLength:
        """Choose the number of frames per block, measured by a worker."""

        def found(block: Block) -> Shares:
            shares: Shares = self._asked(block, measured_shares)
            return shares

        return chosen_length(found, acquisition, config, most_frames)

    def _asked(self, block: Block, work: Any, *arguments: Any) -> Any:
        """Run a measurement of a block on a worker."""
        for _ in range(ATTEMPTS):
            future = self._client.submit(work, block, *arguments, pure=False)
            answer = self._result(future, lambda: False)
            if isinstance(answer, UlmError):
                raise answer
            if answer is not None:
                return answer
        raise BlockError(_died(block))

    def outcomes(
        self,
        jobs: Iterable[Job],
        plan: BlockPlan,
        stop: Stop,
        tell: TellShare | None = None,
    ) -> Iterator[tuple[Job, Attempt]]:
        """Yield the jobs in order, each with its last attempt."""

        waiting = iter(jobs)
        under_way: deque[_Flight] = deque()
        submitted: dict[int, Block] = {}
        topic = f"ulm3d-{uuid4().hex}" if tell is not None else ""

        def submit(job: Job) -> Any:
            submitted[job.block.index] = job.block
            alone = plan.only(job.block)
            return self._client.submit(work_on, job.block, alone, topic, pure=False)

        def heard(event: tuple[float, tuple[int, float]]) -> None:
            index, share = event[1]
            if tell is not None and index in submitted:
                tell(submitted[index], share)

        try:
            if topic:
                self._client.subscribe_topic(topic, heard)
            while True:
                while len(under_way) < self._most_under_way():
                    job = next(waiting, None)
                    if job is None:
                        break
                    future = None if job.kept is not None else submit(job)
                    under_way.append(_Flight(job, future))
                if not under_way:
                    return
                flight = under_way[0]
                attempt = self._outcome(flight, submit, under_way, stop)
                under_way.popleft()
                return_free_memory()
                yield flight.job, attempt
        finally:
            if self._client.status == "running":
                if topic:
                    self._client.unsubscribe_topic(topic)
                self._client.cancel([f.future for f in under_way if f.future is not None])

    def _outcome(
        self, flight: _Flight, submit: Any, under_way: deque[_Flight], stop: Stop
    ) -> Attempt:
        if flight.future is None:
            return Attempt(flight.job.kept)
        attempt = Attempt()
        for n in range(ATTEMPTS):
            if n:
                flight.future = submit(flight.job)
            landed: Attempt | None = self._result(flight.future, stop)
            if landed is None:
                # Another block on the same worker may have killed it. Try this one again with
                # nothing else under way: if the worker dies again, this block is the cause.
                self._wait_for(under_way, stop)
                attempt = Attempt(error=BlockError(_died(flight.job.block)))
                continue
            attempt = landed
            if attempt.peak_memory_bytes is not None:
                before = self._peaks.get(attempt.process, 0)
                self._peaks[attempt.process] = max(before, attempt.peak_memory_bytes)
            if attempt.error is None or of_settings(attempt.error):
                break
        return attempt

    def peak_memory_bytes(self) -> int | None:
        """Peak memory of this process plus that of the largest workers present at once."""
        here = peak_memory()
        if here is None:
            return None
        # Dead workers were replaced: count only as many as there are now.
        largest = sorted(self._peaks.values(), reverse=True)[: max(1, self.n_workers)]
        return here + sum(largest)

    # --- the client -------------------------------------------------------------------------

    def _most_under_way(self) -> int:
        """Two blocks per worker: one in progress and one waiting."""
        now = time.monotonic()
        if now - self._seen_s > 5 or not self._n_workers:
            self._n_workers, self._seen_s = self.n_workers, now
        return max(2, 2 * int(self._n_workers))

    def _wait_for(self, under_way: Iterable[_Flight], stop: Stop) -> None:
        """Wait until all blocks under way are done; their results remain available."""
        for flight in under_way:
            if flight.future is not None:
                self._until_done(flight.future, stop)

    def _result(self, future: Any, stop: Stop) -> Any:
        """Result of a worker; None if it died."""
        from distributed import CancelledError, KilledWorker

        self._until_done(future, stop)
        try:
            return future.result(timeout=START_S)
        except KilledWorker:
            return None
        except (CancelledError, OSError) as error:
            raise BackendError(
                "The scheduler of the cluster has stopped. Start it again and run with --resume: "
                "finished blocks are kept."
            ) from error

    def _until_done(self, future: Any, stop: Stop) -> None:
        from distributed import wait

        alone_since: float | None = None
        asked = time.monotonic()
        while not future.done():
            if stop():
                raise Cancelled("The run was cancelled; finished blocks are kept.")
            with self._client.as_current(), suppress(TimeoutError):
                wait(future, timeout=_POLL_S)
                return
            now = time.monotonic()
            if now - asked < 5:
                continue
            asked = now
            alone_since = None if self._client.nthreads() else alone_since or now
            if alone_since is not None and now - alone_since > _WITHOUT_WORKERS_S:
                raise BackendError(
                    "The cluster has no workers left. Start some and run with --resume: finished "
                    "blocks are kept."
                )


def _refuse_unreachable(acquisition: Acquisition) -> None:
    for source in acquisition.sources:
        if source_path(source) is None:
            raise InputError(
                source.name,
                "exists only in memory, where workers cannot read it",
                "Save it to a file first, or run without workers.",
            )


def _died(block: Block) -> str:
    return (
        f"{block.name}: its worker process died {ATTEMPTS} times (killed, or out of "
        "memory). Use shorter blocks (load.frames_per_block, or --memory) or fewer workers."
    )
