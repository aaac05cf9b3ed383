"""Who works on the blocks: this process, one after the other; or workers (see `cluster`).

An executor takes jobs and gives back their outcomes in the order of the jobs, however
many it works on at a time; so what follows (linking, maps, files) does not know the
difference, and the result is the same to the bit.
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
from napari_ulm3d.pipeline.memory import return_free_memory
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.progress import TellShare, throttled
from napari_ulm3d.system.machine import peak_memory

__all__ = ["ATTEMPTS", "Executor", "Job", "SerialExecutor"]

#: How often a block is tried before the run goes on without it.
ATTEMPTS = 2

Stop = Callable[[], bool]


@dataclass(frozen=True)
class Job:
    """A block to work on.

    Attributes
    ----------
    kept
        Its result from an earlier run: then there is nothing to do.
    key
        The name of its input and settings under which the result is to be kept.
    """

    block: Block
    kept: BlockResult | None = None
    key: str = ""


class Executor(Protocol):
    """Works on blocks."""

    def calibrate(
        self, blocks: Sequence[Block], acquisition: Acquisition, config: PipelineConfig
    ) -> Calibration:
        """What a few blocks spread over the acquisition, of those that can be read, say of it."""
        ...

    def block_length(
        self, acquisition: Acquisition, config: PipelineConfig, most_frames: int | None
    ) -> BlockLength:
        """How many frames are filtered together, at most `most_frames` (`chosen_length`)."""
        ...

    def outcomes(
        self,
        jobs: Iterable[Job],
        plan: BlockPlan,
        stop: Stop,
        tell: TellShare | None = None,
    ) -> Iterator[tuple[Job, Attempt]]:
        """The jobs in their order, each with the last attempt at it.

        `tell` hears now and then which share of a block is done; of several blocks at a time
        where several are worked on, and from any thread.
        """
        ...

    def peak_memory_bytes(self) -> int | None:
        """Largest memory so far, of all processes together; None where it is not known."""
        ...


class SerialExecutor:
    """This process, a block at a time."""

    def __init__(self) -> None:
        self._measured: tuple[int, FilteredBlock] | None = None

    def calibrate(
        self, blocks: Sequence[Block], acquisition: Acquisition, config: PipelineConfig
    ) -> Calibration:
        first: list[tuple[int, FilteredBlock]] = []

        def found(block: Block) -> BlockMeasurement:
            measurement, filtered = measure(block, acquisition, config)
            if not first:  # the only one that is kept: it is large
                first.append((block.index, filtered))
            return measurement

        calibration = calibrated(found, blocks, acquisition, config)
        settings = resolved(config, calibration, blocks)
        for index, filtered in first:
            # Another cut than all blocks together say: it is filtered anew.
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
        for job in jobs:
            progress = None if tell is None else throttled(partial(tell, job.block))
            yield job, self._outcome(job, plan, stop, progress)

    def _outcome(
        self,
        job: Job,
        plan: BlockPlan,
        stop: Stop,
        progress: Callable[[float], None] | None,
    ) -> Attempt:
        if job.kept is not None:
            self._measured = None
            return Attempt(job.kept)
        attempt = Attempt()
        for _ in range(ATTEMPTS):
            # Measuring the PSF has filtered the first block already; it is large, and wanted once.
            if progress is not None:
                progress(0.0)  # it is filtered first
            measured, self._measured = self._measured, None
            filtered = measured[1] if measured and measured[0] == job.block.index else None
            del measured
            attempt = attempt_block(job.block, plan, stop, filtered, progress)
            return_free_memory()
            if attempt.error is None or of_settings(attempt.error):
                break
        return attempt

    def peak_memory_bytes(self) -> int | None:
        return peak_memory()
