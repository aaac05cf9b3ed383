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


class BlockStore(Protocol):
    """Storage of finished blocks between runs, such as a `ResultsFolder`."""

    def read_block(self, index: int, key: str) -> BlockResult | None: ...
    def write_block(self, index: int, block: BlockResult, key: str) -> None: ...
    def read_measured(self, key: str) -> dict[str, NDArray[Any]] | None: ...
    def write_measured(self, arrays: Mapping[str, NDArray[Any]], key: str) -> None: ...


@dataclass(frozen=True)
class _Done:
    """A block that was localized, or failed."""

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

    A block that fails (damaged file, NaN, dead worker) is tried again, then left out: no track
    crosses its frames.

    Parameters
    ----------
    acquisition
        Input, read block by block.
    config
        Settings of all stages.
    store
        Storage of finished blocks; None computes every block.
    stop
        Called often; a true result ends the run with `Cancelled`.
    executor
        Processes the blocks; None: this process, one block at a time.
    tell
        Called several times per second with the progress of a block, from any thread.
    map_bound
        Memory for the maps while they accumulate; None: no limit.
    most_frames
        Largest number of frames per block (`Fitted.block_frames`).

    Yields
    ------
    Event
        `StageStarted`, `RunPrepared`, one `BlockFinished` or `BlockFailed` per block in order, then
        `MapsFinished`.

    Raises
    ------
    Cancelled
        `stop` returned true.
    ConfigError, BackendError
        A setting does not fit the acquisition or the machine.
    UlmError
        All blocks failed; the error of the first.
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
    # The linker pulls the blocks and yields the tracks that ended in each,
    # then the tracks still open at the end.
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
            continue  # its tracks are reported with the next block
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
    """Block length and calibration; from the resumed run if still valid."""
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
    """Passes the blocks through the executor, in order.

    Attributes
    ----------
    breaks
        Frames that no track crosses, ascending; includes the first frame of each failed block.
    finished
        Blocks whose localizations were yielded but that no event has reported yet.
    sample
        Localizations on which chance tracks are counted.
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
        """Yield the localizations of each block; none if it failed.

        Raises
        ------
        UlmError
            All blocks failed, or a setting is invalid.
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
        """End tracks where frames are left out, if the settings say so."""
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
        All blocks of an acquisition.
    kind
        As in `link.breaks`.
    """
    if kind == "none":
        return []
    return [block.first_frame for block in blocks[1:] if kind == "blocks" or block.start == 0]


def _sequences(blocks: Sequence[Block]) -> dict[str, list[int]]:
    """The breaks of each kind, so that linking again does not need the files."""
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
    """The blocks, each with its result from an earlier run if there is one."""
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
        # Once per source: hashing may read a whole store or generate frames again.
        if block.source is not hashed[0]:
            try:
                hashed = (block.source, source_fingerprint(block.source))
            except (UlmError, OSError):  # reading will fail too, with a message
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
