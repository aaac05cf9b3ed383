"""Process scans one after the other in this process, or in parallel on workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import BackendError, Cancelled, UlmError
from napari_ulm3d.studies.animals.scan import Scanned, scanned
from napari_ulm3d.studies.config import ScanConfig, StudyConfig

__all__ = ["scanned_all"]

_POLL_S = 0.2


def scanned_all(
    scans: Sequence[ScanConfig],
    config: StudyConfig,
    out: Path,
    execution: Execution,
    stop: Callable[[], bool],
) -> Iterator[tuple[ScanConfig, Scanned | UlmError]]:
    """Run and measure scans, and yield each result or `UlmError` as it is finished.

    Raises
    ------
    Cancelled
        `stop` returned true; finished scans are kept.
    BackendError
        Workers were requested but are not available.
    """
    if not execution.parallel:
        for scan in scans:
            if stop():
                raise _cancelled()
            yield scan, _attempt(scan, config, out, execution.memory)
        return
    if find_spec("distributed") is None:
        raise BackendError("Workers need Dask: pip install 'napari-ulm3d[cluster]'.")
    from napari_ulm3d.pipeline.dask.client import connected_client, local_client

    with ExitStack() as closing:
        if execution.scheduler is None:
            client = local_client(closing, execution, PipelineConfig())
        else:
            client = connected_client(closing, execution)
        memory = _share(execution)
        waiting = {
            client.submit(_attempt, scan, config, out, memory, pure=False): scan for scan in scans
        }
        closing.callback(lambda: client.status == "running" and client.cancel(list(waiting)))
        while waiting:
            if stop():
                raise _cancelled()
            for future in _done(client, list(waiting)):
                yield waiting.pop(future), _result(future)


def _attempt(
    scan: ScanConfig, config: StudyConfig, out: Path, memory: str | None
) -> Scanned | UlmError:
    try:
        return scanned(scan, config, out, memory)
    except Cancelled:
        raise
    except UlmError as error:
        return error.with_traceback(None)


def _share(execution: Execution) -> str | None:
    """Memory limit per worker; with a cluster, the limit itself."""
    total = execution.memory_bytes
    if total is None or execution.workers is None:
        return execution.memory
    return str(total // execution.workers)


def _done(client: Any, futures: list[Any]) -> list[Any]:
    from distributed import wait

    with client.as_current():
        try:
            return list(wait(futures, timeout=_POLL_S, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []


def _result(future: Any) -> Scanned | UlmError:
    from distributed import CancelledError, KilledWorker

    try:
        found: Scanned | UlmError = future.result()
    except KilledWorker:
        return BackendError(
            "its worker process died (killed, or out of memory). Use fewer workers, or --memory."
        )
    except (CancelledError, OSError) as error:
        raise BackendError(
            "The scheduler of the cluster has stopped. Start it again and repeat the command: "
            "finished scans are kept."
        ) from error
    return found


def _cancelled() -> Cancelled:
    return Cancelled("The study was stopped; finished scans are kept.")
