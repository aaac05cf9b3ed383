"""What runs inside a worker of a cluster: one block at a time, read where it is worked on."""

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

# A worker that was started with several threads would hold as many blocks in memory.
_one_at_a_time = threading.Lock()


def work_on(block: Block, plan: BlockPlan, topic: str = "") -> Attempt:
    """Read and localize a block; see `attempt_block`.

    How far it has come is told under the `topic` of the cluster's events, if there is one.
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
    """What a block says of the acquisition; an error of ours as a value."""
    with _one_at_a_time:
        try:
            return measure(block, acquisition, config)[0]
        except UlmError as error:
            return error.with_traceback(None)


def measured_shares(block: Block) -> Shares | UlmError:
    """`shares_removed`; an error of ours as a value."""
    with _one_at_a_time:
        try:
            return shares_removed(block)
        except UlmError as error:
            return error.with_traceback(None)


def worker_version() -> str:
    """The version of this package in the worker."""
    return __version__


def visible_gpus() -> list[str]:
    """The CUDA devices this process may use, by the names of CUDA_VISIBLE_DEVICES."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name.strip() not in ("", "-1")]
    try:  # without torch, which takes seconds to import
        return [str(number) for number in range(len(os.listdir("/proc/driver/nvidia/gpus")))]
    except OSError:
        return []


@dataclass(frozen=True)
class Preparation:
    """What a worker on this computer does before its first block.

    Attributes
    ----------
    gpus
        The GPUs, which the workers are given in turn.
    """

    gpus: tuple[str, ...] = ()

    def apply(self, number: int) -> None:
        """Prepare this process as the worker of that number."""
        # Ctrl-C reaches all processes of a terminal; the run ends its workers itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self.gpus:
            # CUDA looks at this when it is first used, which no block has done yet.
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus[number % len(self.gpus)]


@dataclass(frozen=True)
class _Telling:
    """Tells the share of a block that is done to whoever listens to the topic."""

    topic: str
    index: int

    def __call__(self, share: float) -> None:
        from distributed import get_worker

        get_worker().log_event(self.topic, [self.index, float(share)])


def _never() -> bool:
    return False
