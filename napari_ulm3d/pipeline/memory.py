"""The memory of a run: fit the settings to a budget, and return free memory."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from math import ceil, floor
from typing import Any

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate.block_length import longest_block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import ConfigError

__all__ = ["Fitted", "fit_to_memory", "return_free_memory", "worker_share"]

# Measured: memory of a process without frames (libraries, compiled code, tables) ...
_PROCESS_BYTES = 400_000_000
# ... memory while processing a block, relative to the block ...
_BLOCKS_HELD = 2.2
# ... memory of the network libraries ...
_TORCH_BYTES = 250_000_000
# ... additional memory of the process that links and maps ...
_MAPPING_BYTES = 300_000_000
# ... and the part of it for maps, which may also use any memory left over.
_MAP_BYTES = 200_000_000
# Least share of the memory that a network gets; with less, its windows would be small.
_NETWORK_SHARE = 0.25
# Fewer frames do not suffice to separate tissue from flow.
_FEWEST_FRAMES = 32


@dataclass(frozen=True)
class Fitted:
    """Settings that fit a memory budget.

    Attributes
    ----------
    notes
        Changes to the settings, one sentence each.
    map_bytes
        Memory for the maps while they accumulate; None: no limit.
    block_frames
        Most frames per block that fit, if `load.frames_per_block` is automatic; None: no limit.
    """

    config: PipelineConfig
    notes: tuple[str, ...] = ()
    map_bytes: int | None = None
    block_frames: int | None = None


def fit_to_memory(acquisition: Acquisition, config: PipelineConfig, execution: Execution) -> Fitted:
    """Fit a run to a memory budget: shorter blocks, smaller network windows, maps on disk.

    The clutter filter keeps removing the same share of singular components: tissue of Doppler
    bandwidth B occupies about 2 B T + 1 components of a window of T seconds (Slepian and
    Pollak, Bell Syst. Tech. J. 40, 1961), so their number scales with the length. A network on
    the CPU without `network.memory_gb` gets what the block leaves free, and at least a
    quarter of the memory for both. On a GPU it uses the GPU's memory.

    Parameters
    ----------
    execution
        Its memory is that of the whole run, shared by this process and the workers; with
        a scheduler, that of each worker.

    Raises
    ------
    ConfigError
        The budget is too small for blocks long enough to be filtered.
    """
    budget = execution.memory_bytes
    if budget is None:
        return Fitted(config)
    longest = max(b.n_frames for b in acquisition.blocks(config.load.block_frames))
    frame_bytes = acquisition.grid.size * acquisition.dtype.itemsize
    alone = not execution.parallel
    room = worker_share(execution, budget) - _PROCESS_BYTES - (_MAPPING_BYTES if alone else 0)
    share = 0.0
    if _network_on_cpu(config, execution):
        room -= _TORCH_BYTES
        if config.network.memory_gb is None:
            share = _NETWORK_SHARE
        else:
            room -= int(1e9 * config.network.memory_gb)
    # Regions are put together in another block.
    held = _BLOCKS_HELD + (1 if config.clutter.regions is not None else 0)
    frames = max(0, int((1 - share) * room / (held * frame_bytes)))
    if frames < min(_FEWEST_FRAMES, longest):
        missing = ceil(_FEWEST_FRAMES * held * frame_bytes / (1 - share)) - room
        least = budget + missing * (execution.workers or 1)
        raise ConfigError(
            f"{execution.memory} of memory allow windows of {frames} frames of this size, but "
            f"tissue cannot be separated from flow in fewer than {_FEWEST_FRAMES} frames. "
            f"Allow at least {ceil(least / 1e8) / 10:.1f}GB (--memory){', or fewer workers' if execution.workers else ''}."
        )
    notes: tuple[str, ...] = ()
    if config.load.frames_per_block is None and frames > longest:  # a longer block may be chosen
        longest = max(longest, longest_block(acquisition, config, frames))
    if frames < longest:
        config, note = _shortened(config, longest, frames, execution)
        notes = (note,)
    spare = room - int(held * frame_bytes * min(frames, longest))
    if share:
        memory_gb = floor(spare / 1e7) / 100
        config = config.replace(network=config.network.replace(memory_gb=memory_gb))
        notes += (
            (
                f"The network may use {memory_gb:g} GB (network.memory_gb) of {execution.memory} "
                "in all."
            ),
        )
        spare = 0
    if execution.scheduler is not None:  # this process holds no frames
        spare = max(0, budget - _PROCESS_BYTES - _MAPPING_BYTES)
    elif execution.workers is not None:
        spare = 0
    return Fitted(config, notes, _MAP_BYTES + max(0, spare), frames)


def _network_on_cpu(config: PipelineConfig, execution: Execution) -> bool:
    """Whether a network uses memory of the processes that work on blocks."""
    if not config.localize.by_network or config.device == "cuda":
        return False
    # The devices of a cluster's workers are not known here.
    return execution.scheduler is not None or resolve_device(config.device) == "cpu"


def worker_share(execution: Execution, budget: int) -> int:
    """Bytes of the budget for each process that works on blocks."""
    if execution.workers is None:
        return budget
    # This process links and maps, and holds no frames.
    return max(0, budget - _PROCESS_BYTES - _MAPPING_BYTES) // execution.workers


def _shortened(
    config: PipelineConfig, longest: int, frames: int, execution: Execution
) -> tuple[PipelineConfig, str]:
    """Settings for shorter windows, and a note on the change."""
    changes: dict[str, Any] = {"load": config.load.replace(frames_per_block=frames)}
    said = (
        f"Blocks of {longest} frames do not fit into {execution.memory}, so windows of at "
        f"most {frames} frames are processed instead"
    )
    clutter = config.clutter
    given = clutter.svd_range
    if given is not None and "svd" in clutter.method and not clutter.svd_automatic:
        first, last = given
        shorter = (
            1 + ceil((first - 1) * frames / longest),
            max(1, ceil(min(last, longest) * frames / longest)),
        )
        changes["clutter"] = clutter.replace(svd_range=shorter)
        said += (
            f", with clutter.svd_range={shorter[0]},{shorter[1]} instead of {first},{last} "
            "(the same share of the components). This removes more slow flow"
        )
    return config.replace(**changes), f"{said}."


def return_free_memory() -> None:
    """Return memory that is free within the process to the system, if possible.

    glibc keeps memory freed by threads; over many blocks this adds up to the size of one.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
