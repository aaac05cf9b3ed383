"""The workers of a run as Dask has them: started on this computer, or reached where they run."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

from napari_ulm3d._version import __version__
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import BackendError
from napari_ulm3d.pipeline.dask.main_guard import refuse_unguarded_main
from napari_ulm3d.pipeline.dask.worker import Preparation, visible_gpus, worker_version
from napari_ulm3d.pipeline.memory import worker_share
from napari_ulm3d.system.machine import processors

__all__ = ["START_S", "connected_client", "local_client"]

log = logging.getLogger("napari_ulm3d")

#: For so long a cluster may take to be reached, and then to answer.
CONNECT_S = 15.0
START_S = 60.0


def local_client(stack: ExitStack, execution: Execution, config: PipelineConfig) -> Any:
    """Start workers on this computer; they end with `stack`.

    Parameters
    ----------
    execution
        How many, and the memory of all together.
    config
        Its device says whether each is given a GPU.

    Returns
    -------
    distributed.Client

    Raises
    ------
    BackendError
        They could not be started, or the script that asks for them has no main guard.
    """
    refuse_unguarded_main()
    import dask
    from distributed import Client, LocalCluster

    n = execution.workers or 1
    threads = str(max(1, processors() // n))
    early = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS")}
    budget = execution.memory_bytes
    settings = {
        # Before numpy and torch are imported, which look once.
        "distributed.nanny.pre-spawn-environ": early,
        # In the workers alone: the above stays in this process too, where numba, which looks at
        # every compilation, would refuse another number than that of the threads it has.
        "distributed.nanny.environ": {"NUMBA_NUM_THREADS": threads},
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
                memory_limit="auto" if budget is None else worker_share(execution, budget),
                dashboard_address="127.0.0.1:0",
                # Other people on this computer must not get at the workers.
                security=find_spec("cryptography") is not None or None,
                # What goes wrong is told by the run. When it is stopped, Dask's scheduler may find
                # our end of a connection closed first and calls that critical, with a traceback.
                silence_logs=logging.CRITICAL + 1,
            )
        stack.callback(_close, cluster)
        client = stack.enter_context(Client(cluster, set_as_default=False))
    except (OSError, RuntimeError, TimeoutError) as error:
        raise BackendError(
            f"{n} workers could not be started ({error}). Try fewer workers, or none."
        ) from error
    gpus = () if config.device == "cpu" else tuple(visible_gpus())
    client.register_plugin(_as_plugin(Preparation(gpus)), name="ulm3d")
    return client


def connected_client(stack: ExitStack, execution: Execution) -> Any:
    """Connect to a cluster that runs already, until `stack` ends.

    Parameters
    ----------
    execution
        Where its scheduler is, and the certificates that it asks for.

    Returns
    -------
    distributed.Client

    Raises
    ------
    BackendError
        Nobody answers, there are no workers, or they have no, or another, version of this package.
    """
    from distributed import Client
    from distributed.security import Security

    address = execution.scheduler
    security = None
    try:
        if address is not None and address.startswith("tls://"):
            security = Security(
                tls_ca_file=execution.tls_ca,
                tls_client_cert=execution.tls_cert,
                tls_client_key=execution.tls_key,
                require_encryption=True,
            )
        client = Client(address, security=security, set_as_default=False, timeout=CONNECT_S)
        stack.enter_context(client)
        client.wait_for_workers(1, timeout=START_S)
        versions = client.run(worker_version)
    except (OSError, TimeoutError) as error:
        raise BackendError(
            f"{address}: no Dask cluster with workers answers at this address ({' '.join(str(error).split())[:200] or type(error).__name__}). "
            "Check the address and the certificates, and that workers are running."
        ) from error
    except ImportError as error:
        raise BackendError(
            f"{address}: napari-ulm3d is not installed on the workers ({error}). Install the "
            "same version there."
        ) from error
    other = {version for version in versions.values() if version != __version__}
    if other:
        raise BackendError(
            f"{address}: the workers run napari-ulm3d {', '.join(sorted(other))}, this "
            f"computer {__version__}. Install the same version everywhere."
        )
    return client


def _close(cluster: Any) -> None:
    """End the workers. The result is there: one that is slow to end must not cost it."""
    try:
        cluster.close(timeout=START_S)
    except TimeoutError:
        log.warning("Some workers did not stop in time; they will end with this process.")


def _as_plugin(preparation: Preparation) -> Any:
    """The preparation as Dask knows plugins; made here, so that `workers` needs no Dask."""
    from distributed import WorkerPlugin

    class PreparationPlugin(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            preparation.apply(int(worker.name))

    return PreparationPlugin()
