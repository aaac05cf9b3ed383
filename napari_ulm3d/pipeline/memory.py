"""The process's memory: how much it took at most, giving back what is free, keeping a budget."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.execution import Execution

__all__ = ["Fitted", "fit_to_memory", "peak_memory_bytes", "return_free_memory", "worker_share"]

# Measured: what a process takes before it holds a frame (libraries, compiled code, tables), ...
_PROCESS_BYTES = 400_000_000
# ... how many times the block it takes while it works on one, ...
_BLOCKS_HELD = 2.2
# ... and what the process that links and maps takes beside that.
_MAPPING_BYTES = 300_000_000

# A shorter window knows too few frames to tell tissue from flow.
_FEWEST_FRAMES = 32


@dataclass(frozen=True)
class Fitted:
    """Settings that fit a memory budget, and what was changed, a sentence each."""

    config: PipelineConfig
    notes: tuple[str, ...] = ()


def fit_to_memory(acquisition: Acquisition, config: PipelineConfig, execution: Execution) -> Fitted:
    """Shorter blocks, where those of the settings would take more memory than the run may.

    The share of singular components that the clutter filter removes stays: tissue of a
    Doppler bandwidth B fills about 2 B T + 1 components of a window of T seconds (Slepian
    and Pollak, Bell Syst. Tech. J. 40, 1961), so their number goes with the length.

    Parameters
    ----------
    execution
        Its memory is that of the whole run, shared by this process and the workers; with
        a scheduler, that of each worker.

    Raises
    ------
    ConfigError
        The budget has no room for blocks that are long enough to be filtered.
    """
    budget = execution.memory_bytes
    if budget is None:
        return Fitted(config)
    blocks = acquisition.blocks(config.load.frames_per_block)
    longest = max(block.n_frames for block in blocks)
    frame_bytes = acquisition.grid.size * acquisition.dtype.itemsize
    room = worker_share(execution, budget) - _PROCESS_BYTES
    if execution.workers is None and execution.scheduler is None:
        room -= _MAPPING_BYTES
    frames = max(0, int(room / (_BLOCKS_HELD * frame_bytes)))
    if frames >= longest:
        return Fitted(config)
    if frames < _FEWEST_FRAMES:
        least = ceil(_FEWEST_FRAMES * _BLOCKS_HELD * frame_bytes + budget - room)
        raise ConfigError(
            f"In {execution.memory} there is room for windows of {frames} frames of this size, "
            f"and tissue cannot be told from flow in less than {_FEWEST_FRAMES}. Allow at least "
            f"{least / 1e9:.1f}GB (--memory){', or fewer workers' if execution.workers else ''}."
        )
    return _shortened(config, longest, frames, execution)


def worker_share(execution: Execution, budget: int) -> int:
    """Bytes of the budget that each process which works on blocks may take."""
    if execution.workers is None:
        return budget
    # This process links and maps, and holds no frames.
    return max(0, budget - _PROCESS_BYTES - _MAPPING_BYTES) // execution.workers


def _shortened(config: PipelineConfig, longest: int, frames: int, execution: Execution) -> Fitted:
    changes: dict[str, Any] = {"load": config.load.replace(frames_per_block=frames)}
    said = (
        f"Blocks of {longest} frames do not fit into {execution.memory}: windows of at most "
        f"{frames} frames are worked on instead"
    )
    clutter = config.clutter
    if "svd" in clutter.method and not clutter.svd_automatic:
        first, last = clutter.svd_range
        shorter = (
            1 + ceil((first - 1) * frames / longest),
            max(1, ceil(min(last, longest) * frames / longest)),
        )
        changes["clutter"] = clutter.replace(svd_range=shorter)
        said += (
            f", with clutter.svd_range={shorter[0]},{shorter[1]} in place of {first},{last}: the "
            "same share of the components. Slow flow is filtered more strongly so"
        )
    return Fitted(config.replace(**changes), (f"{said}.",))


def peak_memory_bytes() -> int | None:
    """Largest resident memory of this process so far; None where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: a program started by a large one inherits that one's peak there.
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def return_free_memory() -> None:
    """Give memory that is free within the process back to the system, where it can be asked to.

    glibc keeps what threads have freed; over many blocks that adds up to the size of one.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
