"""The stages in order over the blocks of an acquisition.

`process` is the core, a generator of events: it reads a block, filters it, localizes the
bubbles, passes the localizations to the linker, and adds finished tracks to the maps. Only
the current block and the unfinished tracks are held in memory. `run_events` adds the
results folder, which keeps finished blocks so that a stopped run can be resumed. `run`
returns the result without events.
"""

from __future__ import annotations

from napari_ulm3d.config.execution import Execution
from napari_ulm3d.pipeline.advice import advice
from napari_ulm3d.pipeline.curate import Curated, curate, curated
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
    "Curated",
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
    "curated",
    "process",
    "run",
    "run_events",
    "sequence_breaks",
]
