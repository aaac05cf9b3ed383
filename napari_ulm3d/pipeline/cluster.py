"""Blocks worked on by a Dask cluster: processes on this computer, or one that runs already.

A worker reads its block itself, so frames never travel; the tables and the power Doppler
of a block do. Results are taken in the order of the blocks, and no more blocks are under
way than keep the workers busy: memory stays bounded, and the run's result is that of one
process, to the bit. A worker that dies costs its block another try, with nothing else
under way, so that it is known which block kills workers.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from napari_ulm3d._version import __version__
from napari_ulm3d.acquisition import Acquisition, Block, source_path
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import BackendError, BlockError, Cancelled, InputError, UlmError
from napari_ulm3d.execution import Execution
from napari_ulm3d.filtering import Psf
from napari_ulm3d.pipeline.attempts import Attempt, of_settings
from napari_ulm3d.pipeline.executors import ATTEMPTS, Job, Stop, first_readable
from napari_ulm3d.pipeline.memory import peak_memory_bytes, return_free_memory, worker_share
from napari_ulm3d.pipeline.workers import (
    Preparation,
    measure_psf,
    visible_gpus,
    work_on,
    worker_version,
)

__all__ = ["Cluster"]

log = logging.getLogger("napari_ulm3d")

_POLL_S = 0.2
_START_S = 60.0
_WITHOUT_WORKERS_S = 300.0


@dataclass
class _Flight:
    """A job, and the worker's promise of its outcome (None where there was nothing to do)."""

    job: Job
    future: Any


class Cluster:
    """The workers of a run; a context manager, and the run's `Executor`.

    Parameters
    ----------
    acquisition
        What they are to read: files, at paths that they see.
    config
        Settings of the run; its device says whether workers are given a GPU each.
    execution
        How many workers here, or which cluster.

    Raises
    ------
    InputError
        Frames are in memory or made when read, where workers cannot get at them.
    BackendError
        Dask is missing, the scheduler does not answer, has no workers, or workers that
        lack this package or have another version of it.
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
            if self._execution.scheduler is None:
                self._start_local(stack)
            else:
                self._connect(stack)
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
        """Workers that are there now."""
        return len(self._client.nthreads())

    @property
    def dashboard(self) -> str:
        """Address of the page that shows what they do; empty without bokeh."""
        has_pages = self._execution.scheduler is not None or find_spec("bokeh") is not None
        return str(self._client.dashboard_link or "") if has_pages else ""

    def psf(self, blocks: Iterable[Block], acquisition: Acquisition, config: PipelineConfig) -> Psf:
        """The PSF of the acquisition, measured by a worker."""

        def measure(block: Block) -> Psf:
            for _ in range(ATTEMPTS):
                future = self._client.submit(
                    measure_psf, block, _alone(acquisition, block), config, pure=False
                )
                found: Psf | UlmError | None = self._result(future, lambda: False)
                if isinstance(found, UlmError):
                    raise found
                if found is not None:
                    return found
            raise BlockError(_died(block))

        return first_readable(measure, blocks)

    def outcomes(
        self,
        jobs: Iterable[Job],
        acquisition: Acquisition,
        psf: Psf,
        config: PipelineConfig,
        stop: Stop,
    ) -> Iterator[tuple[Job, Attempt]]:
        """The jobs in their order, each with the last attempt at it."""

        def submit(job: Job) -> Any:
            return self._client.submit(
                work_on, job.block, _alone(acquisition, job.block), psf, config, pure=False
            )

        waiting = iter(jobs)
        under_way: deque[_Flight] = deque()
        try:
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
                # Whichever block was with the worker may have killed it: the next try of this
                # one is made while nothing else is under way, and then it was this one.
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
        """Largest memory of this process and of the largest workers that were there at once."""
        here = peak_memory_bytes()
        if here is None:
            return None
        # A worker that died was replaced: count as many as there are.
        largest = sorted(self._peaks.values(), reverse=True)[: max(1, self.n_workers)]
        return here + sum(largest)

    # --- the client -------------------------------------------------------------------------

    def _start_local(self, stack: ExitStack) -> None:
        import dask
        from distributed import Client, LocalCluster

        n = self._execution.workers or 1
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = str(max(1, (cores or 1) // n))
        names = ("NUMBA", "OMP", "MKL", "OPENBLAS")
        environment = {f"{name}_NUM_THREADS": threads for name in names}
        budget = self._execution.memory_bytes
        settings = {
            # Before numpy and torch are imported, which look once.
            "distributed.nanny.pre-spawn-environ": environment,
            # A block that kills its worker must not take all the others' workers with it.
            "distributed.scheduler.allowed-failures": 0,
            # Results leave at once: nothing to put on disk, nothing to wait for.
            "distributed.worker.memory.target": False,
            "distributed.worker.memory.spill": False,
            "distributed.worker.memory.pause": False,
        }
        try:
            with dask.config.set(settings):
                cluster = LocalCluster(
                    n_workers=n,
                    threads_per_worker=1,
                    memory_limit="auto"
                    if budget is None
                    else worker_share(self._execution, budget),
                    dashboard_address="127.0.0.1:0",
                    # Other people on this computer must not get at the workers.
                    security=find_spec("cryptography") is not None or None,
                    silence_logs=logging.CRITICAL,
                )
            stack.callback(_close, cluster)
            self._client = stack.enter_context(Client(cluster, set_as_default=False))
        except (OSError, RuntimeError, TimeoutError) as error:
            raise BackendError(
                f"{n} workers could not be started ({error}). Try fewer, or none."
            ) from error
        gpus = () if self._config.device == "cpu" else tuple(visible_gpus())
        self._client.register_plugin(_as_plugin(Preparation(gpus)), name="ulm3d")

    def _connect(self, stack: ExitStack) -> None:
        from distributed import Client
        from distributed.security import Security

        address, execution = self._execution.scheduler, self._execution
        security = None
        try:
            if address is not None and address.startswith("tls://"):
                security = Security(
                    tls_ca_file=execution.tls_ca,
                    tls_client_cert=execution.tls_cert,
                    tls_client_key=execution.tls_key,
                    require_encryption=True,
                )
            client = Client(address, security=security, set_as_default=False, timeout=15)
            self._client = stack.enter_context(client)
            self._client.wait_for_workers(1, timeout=_START_S)
            versions = self._client.run(worker_version)
        except (OSError, TimeoutError) as error:
            raise BackendError(
                f"{address}: no cluster with workers answers there "
                f"({' '.join(str(error).split())[:200] or type(error).__name__}). Check the "
                "address, the certificates, and that workers have been started."
            ) from error
        except ImportError as error:
            raise BackendError(
                f"{address}: the workers lack napari-ulm3d ({error}). Install the same version "
                "there."
            ) from error
        other = {version for version in versions.values() if version != __version__}
        if other:
            raise BackendError(
                f"{address}: workers have napari-ulm3d {', '.join(sorted(other))}, this is "
                f"{__version__}. Install the same version everywhere."
            )

    def _most_under_way(self) -> int:
        """Two blocks a worker: one that it works on and one that waits for it."""
        now = time.monotonic()
        if now - self._seen_s > 5 or not self._n_workers:
            self._n_workers, self._seen_s = self.n_workers, now
        return max(2, 2 * int(self._n_workers))

    def _wait_for(self, under_way: Iterable[_Flight], stop: Stop) -> None:
        """Until nothing is under way any more; what came of it stays to be asked for."""
        for flight in under_way:
            if flight.future is not None:
                self._until_done(flight.future, stop)

    def _result(self, future: Any, stop: Stop) -> Any:
        """What the worker returned, None when it died."""
        from distributed import CancelledError, KilledWorker

        self._until_done(future, stop)
        try:
            return future.result(timeout=_START_S)
        except KilledWorker:
            return None
        except (CancelledError, OSError) as error:
            raise BackendError(
                "The cluster's scheduler has gone. Start it again and add --resume: finished "
                "blocks are kept."
            ) from error

    def _until_done(self, future: Any, stop: Stop) -> None:
        from distributed import wait

        alone_since: float | None = None
        asked = time.monotonic()
        while not future.done():
            if stop():
                raise Cancelled("The run was stopped; finished blocks are kept.")
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
                    "The cluster has no workers any more. Start some and add --resume: finished "
                    "blocks are kept."
                )


def _close(cluster: Any) -> None:
    """End the workers. The result is there: one that is slow to end must not cost it."""
    try:
        cluster.close(timeout=_START_S)
    except TimeoutError:
        log.warning("Some workers did not end in time; they end with this process.")


def _refuse_unreachable(acquisition: Acquisition) -> None:
    for source in acquisition.sources:
        if source_path(source) is None:
            raise InputError(
                source.name,
                "is in memory or made when read, where workers cannot get at it",
                "Save it to a file first, or run without workers.",
            )


def _alone(acquisition: Acquisition, block: Block) -> Acquisition:
    """The acquisition as a block needs it: hundreds of other files need not travel."""
    return replace(acquisition, sources=(block.source,), notes=(), metadata={})


def _died(block: Block) -> str:
    return (
        f"{block.name}: the worker died that worked on it, {ATTEMPTS} times (killed, or out of "
        "memory). Use shorter blocks (load.frames_per_block, or --memory) or fewer workers."
    )


def _as_plugin(preparation: Preparation) -> Any:
    """The preparation as Dask knows plugins; made here, so that `workers` needs no Dask."""
    from distributed import WorkerPlugin

    class PreparationPlugin(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            preparation.apply(int(worker.name))

    return PreparationPlugin()
