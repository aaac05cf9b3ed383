"""The stages in order over the blocks of an acquisition.

`process` is the core, a generator of events: it reads a block, filters it, localizes in
it, hands the localizations to the linker, and goes on; the maps grow as tracks finish.
Nothing but the current block and the unfinished tracks is held. `run_events` adds the
results folder (finished blocks are files, so a stopped run goes on), and `run` is the
same for people who want the result and no events.
"""

from __future__ import annotations

from napari_ulm3d.config.execution import Execution
from napari_ulm3d.pipeline.advice import advice
from napari_ulm3d.pipeline.curate import curate
from napari_ulm3d.pipeline.events import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    ClusterReady,
    Event,
    MapsFinished,
    Noted,
    RunFinished,
    RunPrepared,
    RunReport,
    StageStarted,
)
from napari_ulm3d.pipeline.process import process, sequence_breaks
from napari_ulm3d.pipeline.progress import FramesDone
from napari_ulm3d.pipeline.runner import Run, run, run_events

__all__ = [
    "BlockFailed",
    "BlockFinished",
    "BlockProgress",
    "ClusterReady",
    "Event",
    "Execution",
    "FramesDone",
    "MapsFinished",
    "Noted",
    "Run",
    "RunFinished",
    "RunPrepared",
    "RunReport",
    "StageStarted",
    "advice",
    "curate",
    "process",
    "run",
    "run_events",
    "sequence_breaks",
]
