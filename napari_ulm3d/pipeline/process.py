"""The core of a run: blocks in, events out, nothing written."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block, FrameSource, Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled, UlmError
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.link import ChanceSample, ChanceTracks, link_frames
from napari_ulm3d.maps import MapAccumulator, MemoryBound, resolution, saturation_curve
from napari_ulm3d.pipeline.attempts import Attempt, of_settings
from napari_ulm3d.pipeline.blocks import resolved, stages_of_a_block
from napari_ulm3d.pipeline.events import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    Event,
    MapsFinished,
    RunPrepared,
    StageStarted,
)
from napari_ulm3d.pipeline.executors import Executor, Job, SerialExecutor
from napari_ulm3d.pipeline.localizers import localizer_of
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.progress import Tell
from napari_ulm3d.pipeline.trajectories import TrajectorySum
from napari_ulm3d.provenance import block_key, source_fingerprint
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["BlockStore", "process", "sequence_breaks"]

log = logging.getLogger("napari_ulm3d")

#: Values up to 2**100 and down to 2**-100 are written as they are, in single precision.
_MOST_EXPONENT = 100


class BlockStore(Protocol):
    """Where finished blocks are kept between runs (a `ResultsFolder` is one)."""

    def read_block(self, index: int, key: str) -> BlockResult | None: ...
    def write_block(self, index: int, block: BlockResult, key: str) -> None: ...


@dataclass(frozen=True)
class _Done:
    """A block that went through localization, or could not."""

    block: Block
    result: BlockResult | None
    reason: str
    reused: bool
    seconds: float


def process(
    acquisition: Acquisition,
    config: PipelineConfig,
    *,
    store: BlockStore | None = None,
    stop: Callable[[], bool] | None = None,
    executor: Executor | None = None,
    tell: Tell | None = None,
    map_bound: MemoryBound | None = None,
) -> Iterator[Event]:
    """Run all stages over an acquisition.

    A block that cannot be worked on (a damaged file, NaN, a worker that dies) is tried
    again, then left out: its frames are a gap that no track crosses.

    Parameters
    ----------
    acquisition
        Its frames are read block by block.
    config
        Settings of all stages.
    store
        Where finished blocks are looked up and kept; None computes every block.
    stop
        Asked often; when it says True the run ends with `Cancelled`.
    executor
        Who works on the blocks; None: this process, one block at a time.
    tell
        Hears several times a second how far a block has come, while the generator is at work on
        it; in any thread.
    map_bound
        Memory for the maps while they accumulate; None: what they need.

    Yields
    ------
    Event
        `StageStarted`, `RunPrepared`, a `BlockFinished` or `BlockFailed` a block, in order, then
        `MapsFinished`.

    Raises
    ------
    Cancelled
        `stop` said so.
    ConfigError, BackendError
        A setting does not fit the acquisition or the machine.
    UlmError
        No block could be worked on: what was wrong with the first.
    """
    stop = stop or (lambda: False)
    executor = executor or SerialExecutor()
    grid = acquisition.grid
    blocks = acquisition.blocks(config.load.frames_per_block)
    weights = localizer_of(config).weights(acquisition, config)
    yield StageStarted("calibrating")
    calibration = executor.calibrate(blocks, acquisition, config)
    settings = resolved(config, calibration, acquisition)
    plan = BlockPlan(acquisition, settings, calibration.psf, weights, calibration)
    yield RunPrepared.of(plan, _sequences(acquisition, config))
    accumulator = MapAccumulator(grid, config.maps, map_bound)
    power, n_frames = np.zeros(grid.shape, np.float64), 0
    trajectories = TrajectorySum()
    finished: deque[_Done] = deque()
    breaks = sequence_breaks(acquisition, config)

    def share_told(block: Block, share: float) -> None:
        if tell is not None:
            tell(BlockProgress(block.index, len(blocks), block.n_frames, share))

    def localized() -> Iterator[Localizations]:
        first_error: UlmError | None = None
        any_good = False
        jobs = _jobs(blocks, plan, store, stop)
        began = time.perf_counter()
        for job, attempt in executor.outcomes(
            jobs, plan, stop, None if tell is None else share_told
        ):
            error, result = attempt.error, attempt.result
            if result is None:
                error = error or UlmError(f"{job.block.name}: there is no result.")
                _log_failure(attempt)
                if of_settings(error) and not any_good:
                    raise error
                first_error = first_error or error
                insort(breaks, job.block.first_frame)
            else:
                any_good = True
                if store and job.kept is None and job.key:
                    store.write_block(job.block.index, result, job.key)
            now = time.perf_counter()
            reason = "" if error is None else str(error)
            finished.append(_Done(job.block, result, reason, job.kept is not None, now - began))
            began = now
            if result is not None:
                sample.add(result.localizations)
            yield Localizations.empty() if result is None else result.localizations
        if first_error is not None and not any_good:
            raise first_error

    yield StageStarted("localizing")
    tracks = Tracks.empty()
    sample, chosen = ChanceSample(), list[ChanceTracks]()
    # The linker pulls the blocks and answers each with the tracks that ended in it,
    # then, when there are no more, with the tracks that were still open.
    for ended in link_frames(
        localized(), acquisition.rate_hz, config.link, breaks=breaks, chosen=chosen.append
    ):
        accumulator.add(ended)
        tracks = Tracks.concat([tracks, ended]) if len(tracks) else ended
        if not finished:
            continue
        done = finished.popleft()
        if done.result is None:
            yield _failed(done, len(blocks))
            continue  # its tracks are told with the next block's
        power += done.result.power * done.result.n_frames
        n_frames += done.result.n_frames
        end = done.block.first_frame + done.block.n_frames
        trajectories.add(done.result, end / acquisition.rate_hz)
        yield BlockFinished(
            index=done.block.index,
            n_blocks=len(blocks),
            first_frame=done.block.first_frame,
            n_frames=done.block.n_frames,
            result=done.result,
            tracks=tracks,
            reused=done.reused,
            seconds=done.seconds,
        )
        tracks = Tracks.empty()

    yield StageStarted("mapping")
    # Before the maps, so that the half sets are never held beside them.
    fsc = resolution(*accumulator.halves()) if config.maps.fsc else None
    maps = accumulator.maps()
    maps["power_doppler"] = _power_map(power / n_frames, grid)
    saturation = trajectories.saturation(acquisition.duration_s)
    if saturation is None:
        saturation = saturation_curve(accumulator, duration_s=acquisition.duration_s)
    yield MapsFinished(
        tracks=tracks,
        maps=maps | trajectories.maps(),
        saturation=saturation,
        resolution=fsc,
        chance=chosen[0] if chosen else sample.chance(acquisition.rate_hz, config.link, breaks),
    )


def _power_map(power: NDArray[np.float64], grid: Grid) -> VesselMap:
    """Power Doppler as a map; what single precision cannot hold is in units of a power of two."""
    exponent = math.frexp(float(power.max()))[1]
    unit = "a.u."
    if abs(exponent) > _MOST_EXPONENT:
        power, unit = np.ldexp(power, -exponent), f"a.u. (2^{exponent})"
    return VesselMap.from_dense("power_doppler", power.astype(np.float32), grid, unit)


def sequence_breaks(acquisition: Acquisition, config: PipelineConfig) -> list[int]:
    """Frames at which all tracks end and new ones begin, ascending, as `link.breaks` says."""
    blocks = acquisition.blocks(config.load.frames_per_block)
    if config.link.breaks == "blocks":
        return [block.first_frame for block in blocks[1:]]
    if config.link.breaks == "files":
        return [block.first_frame for block in blocks[1:] if block.start == 0]
    return []


def _sequences(acquisition: Acquisition, config: PipelineConfig) -> dict[str, list[int]]:
    """The breaks of every kind: whoever links again later need not open the files for them."""
    kinds: tuple[Literal["files", "blocks"], ...] = ("files", "blocks")
    return {
        kind: sequence_breaks(
            acquisition, config.model_copy(update={"link": config.link.replace(breaks=kind)})
        )
        for kind in kinds
    }


def _jobs(
    blocks: tuple[Block, ...],
    plan: BlockPlan,
    store: BlockStore | None,
    stop: Callable[[], bool],
) -> Iterator[Job]:
    """The blocks, each with its result of an earlier run if there is one."""
    psf_digest = hashlib.sha256(plan.psf.array.tobytes()).hexdigest()
    stages = stages_of_a_block(plan.config)
    more = localizer_of(plan.config).key_facts(plan)
    if plan.calibration is not None and not plan.calibration.working.is_full:
        more = (*more, repr(plan.calibration.working))
    hashed: tuple[FrameSource | None, str] = (None, "")
    for block in blocks:
        if stop():
            raise Cancelled("The run was stopped; finished blocks are kept.")
        if store is None:
            yield Job(block)
            continue
        # Once a source: hashing may walk a whole store or make frames again.
        if block.source is not hashed[0]:
            try:
                hashed = (block.source, source_fingerprint(block.source))
            except (UlmError, OSError):  # reading it will fail likewise, and say why
                yield Job(block)
                continue
        key = block_key(block, hashed[1], plan.config, stages, psf_digest, *more)
        yield Job(block, store.read_block(block.index, key), key)


def _failed(done: _Done, n_blocks: int) -> BlockFailed:
    block = done.block
    return BlockFailed(
        block.index, n_blocks, block.first_frame, block.n_frames, block.name, done.reason
    )


def _log_failure(attempt: Attempt) -> None:
    if attempt.details:
        log.warning("%s", attempt.details.rstrip())
