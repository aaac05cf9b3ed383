"""Functions that run in a worker, which reads and processes one block at a time."""

from __future__ import annotations

import os
import signal
import socket
import threading
from dataclasses import dataclass, replace

from napari_ulm3d._version import __version__
from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import BlockMeasurement, shares_removed
from napari_ulm3d.calibrate.block_length import Shares
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.pipeline.attempts import Attempt, attempt_block
from napari_ulm3d.pipeline.blocks import measure
from napari_ulm3d.pipeline.memory import return_free_memory
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.progress import throttled
from napari_ulm3d.system.machine import peak_memory

__all__ = [
    "Preparation",
    "measured_block",
    "measured_shares",
    "visible_gpus",
    "work_on",
    "worker_version",
]

# A worker with several threads would otherwise hold as many blocks in memory.
_one_at_a_time = threading.Lock()


def work_on(block: Block, plan: BlockPlan, topic: str = "") -> Attempt:
    """Read and localize a block; see `attempt_block`.

    Progress is sent under the `topic` of the cluster's events, if given.
    """
    progress = throttled(_Telling(topic, block.index)) if topic else None
    with _one_at_a_time:
        attempt = attempt_block(block, plan, _never, None, progress)
        return_free_memory()
    return replace(
        attempt,
        peak_memory_bytes=peak_memory(),
        process=f"{socket.gethostname()}:{os.getpid()}",
    )


def measured_block(
    block: Block, acquisition: Acquisition, config: PipelineConfig
) -> BlockMeasurement | UlmError:
    """Measure a block for the calibration; a `UlmError` is returned."""
    with _one_at_a_time:
        try:
            return measure(block, acquisition, config)[0]
        except UlmError as error:
            return error.with_traceback(None)


def measured_shares(block: Block) -> Shares | UlmError:
    """Call `shares_removed`; a `UlmError` is returned."""
    with _one_at_a_time:
        try:
            return shares_removed(block)
        except UlmError as error:
            return error.with_traceback(None)


def worker_version() -> str:
    """The version of this package in the worker."""
    return __version__


def visible_gpus() -> list[str]:
    """CUDA devices that this process may use, as named in CUDA_VISIBLE_DEVICES."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name.strip() not in ("", "-1")]
    try:  # without torch, which takes seconds to import
        return [str(number) for number in range(len(os.listdir("/proc/driver/nvidia/gpus")))]
    except OSError:
        return []


@dataclass(frozen=True)
class Preparation:
    """Preparation of a local worker before its first block.

    Attributes
    ----------
    gpus
        The GPUs, assigned to the workers in turn.
    """

    gpus: tuple[str, ...] = ()

    def apply(self, number: int) -> None:
        """Prepare this process as worker `number`."""
        # Ctrl-C reaches all processes of a terminal, but the run stops its workers itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.gpus:
            # CUDA reads this on first use, which comes later.
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus[number % len(self.gpus)]


@dataclass(frozen=True)
class _Telling:
    """Sends the share of a block that is done to subscribers of the topic."""

    topic: str
    index: int

    def __call__(self, share: float) -> None:
        from distributed import get_worker

        get_worker().log_event(self.topic, [self.index, float(share)])


def _never() -> bool:
    return False
