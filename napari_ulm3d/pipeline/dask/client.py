"""The Dask workers of a run: started on this computer, or on a running cluster."""

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

#: Time limits for connecting to a cluster, and for its workers to start or answer.
CONNECT_S = 15.0
START_S = 60.0


def local_client(stack: ExitStack, execution: Execution, config: PipelineConfig) -> Any:
    """Start workers on this computer; they end with `stack`.

    Parameters
    ----------
    execution
        Number of workers, and their total memory.
    config
        Its device determines whether each worker gets a GPU.

    Returns
    -------
    distributed.Client

    Raises
    ------
    BackendError
        The workers cannot be started, or the calling script has no main guard.
    """
    refuse_unguarded_main()
    import dask
    from distributed import Client, LocalCluster

    n = execution.workers or 1
    threads = str(max(1, processors() // n))
    early = {f"{name}_NUM_THREADS": threads for name in ("OMP", "MKL", "OPENBLAS")}
    budget = execution.memory_bytes
    settings = {
        # Set before numpy and torch are imported, which read it only then.
        "distributed.nanny.pre-spawn-environ": early,
        # In the workers only: the variables above are set in this process too, where numba checks
        # at every compilation and rejects a number other than that of its running threads.
        "distributed.nanny.environ": {"NUMBA_NUM_THREADS": threads},
        # A block that kills its worker must not kill the other workers too.
        "distributed.scheduler.allowed-failures": 0,
        # Results are sent at once: nothing to spill to disk or to pause for.
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
                # Other users of this computer must not reach the workers.
                security=find_spec("cryptography") is not None or None,
                # The run reports errors itself. When it is stopped, Dask's scheduler may log a
                # critical error with a traceback because our end of a connection closed first.
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
    """Connect to a running cluster, until `stack` ends.

    Parameters
    ----------
    execution
        Address of its scheduler, and the certificates that it requires.

    Returns
    -------
    distributed.Client

    Raises
    ------
    BackendError
        There is no answer or no worker, or the workers lack this version of the package.
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
    """Stop the workers; a slow one must not cost the result, which is complete."""
    try:
        cluster.close(timeout=START_S)
    except TimeoutError:
        log.warning("Some workers did not stop in time; they will end with this process.")


def _as_plugin(preparation: Preparation) -> Any:
    """Wrap the preparation as a Dask plugin; here, so that `worker` does not import Dask."""
    from distributed import WorkerPlugin

    class PreparationPlugin(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            preparation.apply(int(worker.name))

    return PreparationPlugin()
