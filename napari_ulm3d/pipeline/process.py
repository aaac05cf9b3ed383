"""The core of a run: blocks in, events out, nothing written."""

from __future__ import annotations

import hashlib
import logging
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block, FrameSource
from napari_ulm3d.calibrate import BlockLength, Calibration, spread_out
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled, UlmError
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.link import ChanceSample, ChanceTracks, link_frames
from napari_ulm3d.maps import (
    MapAccumulator,
    MemoryBound,
)
from napari_ulm3d.pipeline.attempts import Attempt, of_settings
from napari_ulm3d.pipeline.blocks import resolved, stages_of_a_block
from napari_ulm3d.pipeline.events import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    Event,
    RunPrepared,
    StageStarted,
)
from napari_ulm3d.pipeline.executors import Executor, Job, SerialExecutor
from napari_ulm3d.pipeline.localizers import localizer_of
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.progress import Tell
from napari_ulm3d.pipeline.record.kept_calibration import KeptCalibration, calibration_key
from napari_ulm3d.pipeline.sums import BlockSums
from napari_ulm3d.provenance import block_key, source_fingerprint
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["BlockStore", "process", "sequence_breaks"]

log = logging.getLogger("napari_ulm3d")

#: Values up to 2**100 and down to 2**-100 are written as they are, in single precision.


class BlockStore(Protocol):
    """Where finished blocks are kept between runs (a `ResultsFolder` is one)."""

    def read_block(self, index: int, key: str) -> BlockResult | None: ...
    def write_block(self, index: int, block: BlockResult, key: str) -> None: ...
    def read_measured(self, key: str) -> dict[str, NDArray[Any]] | None: ...
    def write_measured(self, arrays: Mapping[str, NDArray[Any]], key: str) -> None: ...


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
    most_frames: int | None = None,
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
    most_frames
        Frames of the longest block that may be chosen (`Fitted.block_frames`).

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
    weights = localizer_of(config).weights(acquisition, config)
    yield StageStarted("calibrating")
    length, calibration = _measured(acquisition, config, executor, store, most_frames)
    asked, config = config, length.of(config)
    blocks = acquisition.blocks(config.load.block_frames)
    settings = resolved(config, calibration, blocks)
    plan = BlockPlan(acquisition, settings, calibration.psf, weights, calibration)
    yield RunPrepared.of(plan, asked if length.finding is None else config, _sequences(blocks))
    sums = BlockSums(acquisition, MapAccumulator(acquisition.grid, config.maps, map_bound))
    work = _Localizing(blocks, plan, store, sequence_breaks(blocks, config.link.breaks))
    yield StageStarted("localizing")
    tracks = Tracks.empty()
    chosen: list[ChanceTracks] = []
    # The linker pulls the blocks and answers each with the tracks that ended in it,
    # then, when there are no more, with the tracks that were still open.
    found = work.localizations(executor, stop, tell)
    for ended in link_frames(
        found, acquisition.rate_hz, config.link, breaks=work.breaks, chosen=chosen.append
    ):
        sums.accumulator.add(ended)
        tracks = Tracks.concat([tracks, ended]) if len(tracks) else ended
        if not work.finished:
            continue
        done = work.finished.popleft()
        if done.result is None:
            yield _failed(done, len(blocks))
            continue  # its tracks are told with the next block's
        sums.add(done.block, done.result)
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
    chance = chosen[0] if chosen else work.sample.chance(
        acquisition.rate_hz, config.link, work.breaks
    )  # fmt: skip
    yield sums.maps(tracks, chance)


def _measured(
    acquisition: Acquisition,
    config: PipelineConfig,
    executor: Executor,
    store: BlockStore | None,
    most_frames: int | None,
) -> tuple[BlockLength, Calibration]:
    """How long blocks are and what a few of them say; of the run that is resumed, if it holds."""
    key = "" if store is None else calibration_key(acquisition, config)
    limits = (config.load.frames_per_block, most_frames)
    arrays = None if store is None else store.read_measured(key)
    if arrays is not None:
        kept = KeptCalibration.from_arrays(arrays, acquisition)
        if kept.still_of(acquisition, limits):
            return kept.length, kept.calibration
    length = executor.block_length(acquisition, config, most_frames)
    settings = length.of(config)
    blocks = acquisition.blocks(settings.load.block_frames)
    calibration = executor.calibrate(blocks, acquisition, settings).with_finding(length.finding)
    if store is not None and calibration.measured_on:
        wanted = spread_out(len(blocks), settings.calibrate.blocks)
        new = KeptCalibration.of(calibration, length, limits, blocks, wanted, acquisition)
        store.write_measured(new.arrays(), key)
    return length, calibration


class _Localizing:
    """The blocks on their way through the executor, in order.

    Attributes
    ----------
    breaks
        Frames that no track crosses, ascending; one more at each block that could not be worked on.
    finished
        Blocks whose localizations were handed out, and that nobody has told of yet.
    sample
        Localizations on which the tracks that arise by chance are counted.
    """

    def __init__(
        self,
        blocks: tuple[Block, ...],
        plan: BlockPlan,
        store: BlockStore | None,
        breaks: list[int],
    ) -> None:
        self._blocks, self._plan, self._store = blocks, plan, store
        self.breaks = breaks
        self.finished: deque[_Done] = deque()
        self.sample = ChanceSample()

    def localizations(
        self, executor: Executor, stop: Callable[[], bool], tell: Tell | None
    ) -> Iterator[Localizations]:
        """Those of each block; none where it could not be worked on.

        Raises
        ------
        UlmError
            No block could be worked on, or the settings do not allow it.
        """
        first_error: UlmError | None = None
        any_good = False
        jobs = _jobs(self._blocks, self._plan, self._store, stop)
        began = time.perf_counter()
        for job, attempt in executor.outcomes(jobs, self._plan, stop, self._teller(tell)):
            error, result = attempt.error, attempt.result
            if result is None:
                error = error or UlmError(f"{job.block.name}: there is no result.")
                _log_failure(attempt)
                if of_settings(error) and not any_good:
                    raise error
                first_error = first_error or error
                insort(self.breaks, job.block.first_frame)
            else:
                any_good = True
                if self._store and job.kept is None and job.key:
                    self._store.write_block(job.block.index, result, job.key)
            now = time.perf_counter()
            reason = "" if error is None else str(error)
            done = _Done(job.block, result, reason, job.kept is not None, now - began)
            self.finished.append(done)
            began = now
            if result is not None:
                self.sample.add(result.localizations)
                self._break_at_jerks(result)
            yield Localizations.empty() if result is None else result.localizations
        if first_error is not None and not any_good:
            raise first_error

    def _break_at_jerks(self, result: BlockResult) -> None:
        """Tracks end where frames are left out, if the settings say so."""
        motion = self._plan.config.motion
        if result.motion is None or motion.across == "close" or not motion.leave_out:
            return
        broken = result.motion["broken"].to_numpy(bool)
        begins = broken & ~np.concatenate(([False], broken[:-1]))
        for frame in result.motion["frame"].to_numpy()[begins].tolist():
            insort(self.breaks, frame)

    def _teller(self, tell: Tell | None) -> Callable[[Block, float], None] | None:
        if tell is None:
            return None

        def share_told(block: Block, share: float) -> None:
            tell(BlockProgress(block.index, len(self._blocks), block.n_frames, share))

        return share_told


def sequence_breaks(blocks: Sequence[Block], kind: Literal["none", "files", "blocks"]) -> list[int]:
    """Frames at which all tracks end and new ones begin, ascending.

    Parameters
    ----------
    blocks
        All of an acquisition.
    kind
        As of `link.breaks`.
    """
    if kind == "none":
        return []
    return [block.first_frame for block in blocks[1:] if kind == "blocks" or block.start == 0]


def _sequences(blocks: Sequence[Block]) -> dict[str, list[int]]:
    """The breaks of every kind: whoever links again later need not open the files for them."""
    return {
        "files": sequence_breaks(blocks, "files"),
        "blocks": sequence_breaks(blocks, "blocks"),
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
            raise Cancelled("The run was cancelled; finished blocks are kept.")
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
