"""Executors process the blocks: one after the other in this process, or on workers (`dask`).

An executor takes jobs and returns their outcomes in the order of the jobs, however
many it processes at once. Later stages (linking, maps, files) therefore do not see the
difference, and the result is identical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import (
    BlockLength,
    BlockMeasurement,
    Calibration,
    calibrated,
    chosen_length,
    shares_removed,
)
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.pipeline.attempts import Attempt, attempt_block, of_settings
from napari_ulm3d.pipeline.blocks import measure, resolved
from napari_ulm3d.pipeline.localizers.on_device import block_device
from napari_ulm3d.pipeline.memory import return_free_memory
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.progress import TellShare, throttled
from napari_ulm3d.pipeline.reading_ahead import read_ahead
from napari_ulm3d.system.machine import peak_memory

__all__ = ["ATTEMPTS", "Executor", "Job", "SerialExecutor"]

#: Number of attempts at a block before the run continues without it.
ATTEMPTS = 2

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Job:
    """A block to process.

    Attributes
    ----------
    kept
        Its result from an earlier run, which is reused.
    key
        Hash of its input and settings, under which the result is stored.
    """

    block: Block
    kept: BlockResult | None = None
    key: str = ""


class Executor(Protocol):
    """Processes blocks."""

    def calibrate(
        self, blocks: Sequence[Block], acquisition: Acquisition, config: PipelineConfig
    ) -> Calibration:
        """Calibrate on a few readable blocks spread over the acquisition."""
        ...

    def block_length(
        self, acquisition: Acquisition, config: PipelineConfig, most_frames: int | None
    ) -> BlockLength:
        """Choose the number of frames per block, at most `most_frames` (`chosen_length`)."""
        ...

    def outcomes(
        self,
        jobs: Iterable[Job],
        plan: BlockPlan,
        stop: Stop,
        tell: TellShare | None = None,
    ) -> Iterator[tuple[Job, Attempt]]:
        """Yield the jobs in order, each with its last attempt.

        `tell` is called now and then with the share of a block that is done, from any thread,
        and for several blocks in turn if several are processed at once.
        """
        ...

    def peak_memory_bytes(self) -> int | None:
        """Peak memory so far, summed over processes; None if unknown."""
        ...


class SerialExecutor:
    """Processes one block at a time in this process.

    Parameters
    ----------
    may_read_ahead
        Whether the next block may be in memory too, where that saves time.
    """

    def __init__(self, may_read_ahead: bool = True) -> None:
        self._may_read_ahead = may_read_ahead
        self._measured: tuple[int, FilteredBlock] | None = None

    def calibrate(
        self, blocks: Sequence[Block], acquisition: Acquisition, config: PipelineConfig
    ) -> Calibration:
        first: list[tuple[int, FilteredBlock]] = []

        def found(block: Block) -> BlockMeasurement:
            measurement, filtered = measure(block, acquisition, config)
            if not first:  # keep only the first, since blocks are large
                first.append((block.index, filtered))
            return measurement

        calibration = calibrated(found, blocks, acquisition, config)
        settings = resolved(config, calibration, blocks)
        for index, filtered in first:
            # If the common cut differs from this block's own, it must be filtered again.
            wanted = settings.clutter.svd_range
            if filtered.components is None or wanted is None or filtered.components[0] == wanted[0]:
                self._measured = (index, filtered)
        return calibration

    def block_length(
        self, acquisition: Acquisition, config: PipelineConfig, most_frames: int | None
    ) -> BlockLength:
        return chosen_length(shares_removed, acquisition, config, most_frames)

    def outcomes(
        self,
        jobs: Iterable[Job],
        plan: BlockPlan,
        stop: Stop,
        tell: TellShare | None = None,
    ) -> Iterator[tuple[Job, Attempt]]:
        # A GPU would wait for the files; on the CPU all processors are busy with the block itself.
        ahead = self._may_read_ahead and block_device(plan.config) is not None
        pairs = read_ahead(jobs, self._to_be_read) if ahead else ((job, job.block) for job in jobs)
        for job, block in pairs:
            progress = None if tell is None else throttled(partial(tell, job.block))
            yield job, self._outcome(job, block or job.block, plan, stop, progress)

    def _to_be_read(self, job: Job) -> Block | None:
        filtered = self._measured is not None and self._measured[0] == job.block.index
        return None if filtered or job.kept is not None else job.block

    def _outcome(
        self,
        job: Job,
        block: Block,
        plan: BlockPlan,
        stop: Stop,
        progress: Callable[[float], None] | None,
    ) -> Attempt:
        if job.kept is not None:
            self._measured = None
            return Attempt(job.kept)
        attempt = Attempt()
        for _ in range(ATTEMPTS):
            # The calibration has filtered the first block; reuse it once, since it is large.
            if progress is not None:
                progress(0.0)  # it is filtered first, without progress
            measured, self._measured = self._measured, None
            filtered = measured[1] if measured and measured[0] == job.block.index else None
            del measured
            attempt = attempt_block(block, plan, stop, filtered, progress)
            return_free_memory()
            if attempt.error is None or of_settings(attempt.error):
                break
        return attempt

    def peak_memory_bytes(self) -> int | None:
        return peak_memory()
