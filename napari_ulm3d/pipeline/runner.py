"""A whole run: the core, the results folder, and the report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.link import ChanceTracks
from napari_ulm3d.maps import Forecast, MemoryBound, Resolution
from napari_ulm3d.motion import rms_um
from napari_ulm3d.pipeline.advice import advice, verdict
from napari_ulm3d.pipeline.advice.hints import hints
from napari_ulm3d.pipeline.events import (
    BlockFailed,
    BlockFinished,
    ClusterReady,
    Event,
    MapsFinished,
    Noted,
    RunFinished,
    RunPrepared,
    RunReport,
    StageStarted,
)
from napari_ulm3d.pipeline.executors import Executor, SerialExecutor
from napari_ulm3d.pipeline.memory import Fitted, fit_to_memory
from napari_ulm3d.pipeline.ordering import TrackSorter
from napari_ulm3d.pipeline.process import process
from napari_ulm3d.pipeline.progress import Tell
from napari_ulm3d.pipeline.record.recording import Recording
from napari_ulm3d.provenance import acquisition_facts, program_facts
from napari_ulm3d.tables import POSITION_UM, Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["Run", "run", "run_events"]


@dataclass(frozen=True)
class Run:
    """The result of a run.

    Attributes
    ----------
    localizations, tracks
        The tables.
    maps
        By name: density, speed, velocity_z, direction, power_doppler.
    saturation
        Table of the share of map voxels filled over time.
    resolution
        Fourier shell correlation of two half sets, or None.
    forecast
        Extrapolated saturation curve, which gives the acquisition time needed.
    chance
        Number of tracks by length in the first localizations, and the number expected by chance.
    motion
        Displacement of the tissue, one row per frame; None without motion correction.
    report
        Summary of the run.
    folder
        Results folder, or None.
    """

    localizations: Localizations
    tracks: Tracks
    maps: dict[str, VesselMap]
    saturation: Any
    resolution: Resolution | None
    chance: ChanceTracks
    forecast: Forecast
    report: RunReport
    folder: Path | None = None
    motion: pd.DataFrame | None = None


class _Tally:
    """Collects numbers for the report from the events."""

    def __init__(self, acquisition: Acquisition, config: PipelineConfig) -> None:
        self.acquisition, self.config = acquisition, config
        self.svd_first: int | None = None
        self.window_frames: int | None = None
        self.began = time.perf_counter()
        self.frames = self.localizations = self.tracks = self.points = 0
        self.computed_frames = 0
        self.kept_frames = 0.0
        self.rejected: dict[str, int] = {}
        self.failed: list[BlockFailed] = []
        self.motion: list[pd.DataFrame] = []

    def block(self, event: BlockFinished) -> None:
        self.frames += event.n_frames
        self.computed_frames += 0 if event.reused else event.n_frames
        self.localizations += len(event.result.localizations)
        self.kept_frames += event.result.facts.get("kept_per_cent", 0.0) / 100 * event.n_frames
        first = event.result.facts.get("svd_first_kept")
        self.svd_first = self.svd_first if first is None else int(first)
        self.track_rows(event.tracks)
        if event.result.motion is not None:
            self.motion.append(event.result.motion)
        window = event.result.facts.get("window_frames")
        if window:
            self.window_frames = max(self.window_frames or 0, int(window))
        for name, count in event.result.facts.items():
            if name.startswith("rejected_"):
                reason = name.removeprefix("rejected_")
                self.rejected[reason] = self.rejected.get(reason, 0) + int(count)

    def track_rows(self, tracks: Tracks) -> None:
        self.tracks += tracks.n_tracks
        self.points += len(tracks)

    def _of_motion(self) -> dict[str, Any]:
        if not self.motion:
            return {}
        table = pd.concat(self.motion)
        broken = table["broken"].to_numpy(bool)
        path = table[POSITION_UM].to_numpy(np.float64)[~broken]
        left_out = int(broken.sum()) if self.config.motion.leave_out else 0
        return {"motion_rms_um": rms_um(path), "frames_left_out": left_out}

    def report(self, maps: MapsFinished, peak_memory_bytes: int | None) -> RunReport:
        chance = maps.chance
        length = self.config.link.min_length_frames or chance.least_length()
        share = chance.share(length) if self.tracks else float("nan")
        control = None if math.isnan(share) else share
        seconds = time.perf_counter() - self.began
        resolution = maps.resolution
        known = resolution is not None and resolution.resolution_um == resolution.resolution_um
        report = RunReport(
            n_frames=self.frames,
            n_localizations=self.localizations,
            n_tracks=self.tracks,
            n_track_points=self.points,
            seconds=seconds,
            volumes_per_s=self.computed_frames / seconds,
            peak_memory_bytes=peak_memory_bytes,
            resolution_um=float(resolution.resolution_um) if known and resolution else None,
            axes_um={} if resolution is None else resolution.known_axes_um(),
            saturation=float(maps.saturation["share_of_grid"].iloc[-1]),
            forecast=dict(maps.forecast.rows()),
            rejected=self.rejected,
            failed=tuple(self.failed),
            min_length_frames=length,
            max_speed_mm_s=chance.max_speed_mm_s,
            **self._of_motion(),
            chance_share=control,
            verdict=verdict(
                self.frames,
                self.localizations,
                self.tracks,
                control,
                self.rejected,
                self.config,
                self.svd_first,
                length,
            ),
            network_window_frames=self.window_frames,
        )
        kept = self.kept_frames / self.frames if self.kept_frames else None
        return replace(report, hints=hints(report, kept, self.acquisition, self.config))


def run(
    acquisition: Acquisition,
    config: PipelineConfig | None = None,
    out: str | PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    execution: Execution | None = None,
) -> Run:
    """Run the whole pipeline and return its result.

    Parameters
    ----------
    acquisition
        From `open_acquisition`, `Acquisition.from_array` or `simulate`.
    config
        Settings; None: the defaults.
    out
        Results folder to write; None keeps everything in memory.
    resume, overwrite
        If `out` already contains a run: finish it, or replace it.
    execution
        Workers and memory; None: this process. The result does not depend on the workers.

    Returns
    -------
    Run
        Tables, maps and report.

    Raises
    ------
    UlmError
        The input, a setting or the folder cannot be used; the message says why.
    """
    config = config or PipelineConfig()
    localizations: list[Localizations] = []
    tracks: list[Tracks] = []
    motion: list[pd.DataFrame] = []
    sorter = TrackSorter()
    maps: MapsFinished | None = None
    report: RunReport | None = None
    for event in run_events(
        acquisition, config, out, resume=resume, overwrite=overwrite, execution=execution
    ):
        if isinstance(event, BlockFinished):
            localizations.append(event.result.localizations)
            if event.result.motion is not None:
                motion.append(event.result.motion)
            tracks.append(sorter.push(event.tracks))
        elif isinstance(event, MapsFinished):
            tracks.append(sorter.push(event.tracks))
            maps = event
        elif isinstance(event, RunFinished):
            report = event.report
    assert maps is not None
    assert report is not None
    return Run(
        localizations=Localizations.concat(localizations),
        tracks=Tracks.concat(tracks),
        maps=maps.maps,
        saturation=maps.saturation,
        resolution=maps.resolution,
        chance=maps.chance,
        forecast=maps.forecast,
        report=report,
        folder=None if out is None else Path(out),
        motion=pd.concat(motion, ignore_index=True) if motion else None,
    )


def run_events(
    acquisition: Acquisition,
    config: PipelineConfig,
    out: str | PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    stop: Callable[[], bool] | None = None,
    execution: Execution | None = None,
    tell: Tell | None = None,
) -> Iterator[Event]:
    """Run the whole pipeline, yielding events.

    Closing the generator, `stop`, Ctrl-C or killing the process ends the run and leaves a folder
    that `resume=True` completes, with the result of an uninterrupted run. A run that fails before
    its first block is finished leaves the disk unchanged. A block that fails is left out and
    reported (`BlockFailed`); resuming tries it again.

    Parameters
    ----------
    acquisition, config
        Input and settings.
    out
        The results folder; None: nothing is written.
    resume
        Finish the run in `out`: blocks whose input and settings are unchanged are reused.
        If there is no run yet, start one.
    overwrite
        Replace the run in `out`.
    stop
        Called often; a true result ends the run with `Cancelled`.
    execution
        Workers and memory; None: this process. The result does not depend on the workers.
    tell
        Receives the progress within blocks, as in `process`.

    Yields
    ------
    Event
        `Noted` and `ClusterReady` if applicable, the events of `process`, then `RunFinished`.

    Raises
    ------
    ResultsError
        `out` cannot be used.
    BackendError
        Workers cannot be started or reached, or have stopped.
    UlmError
        As for `process`.
    """
    execution = execution or Execution()
    fitted = fit_to_memory(acquisition, config, execution)
    with ExitStack() as closing:
        recording = None
        if out is not None:
            recording = closing.enter_context(
                _recording(acquisition, fitted, Path(out), resume=resume, overwrite=overwrite)
            )
        for note in fitted.notes:
            yield Noted(note)
        executor: Executor = SerialExecutor(may_read_ahead=execution.memory is None)
        if execution.parallel:
            # Imported here, since a run in this process does not need Dask.
            from napari_ulm3d.pipeline.dask.executor import Cluster

            yield StageStarted("starting workers")
            cluster = closing.enter_context(Cluster(acquisition, fitted.config, execution))
            yield ClusterReady(cluster.n_workers, cluster.dashboard)
            executor = cluster
        events = _reported(
            process(
                acquisition,
                fitted.config,
                store=recording,
                stop=stop,
                executor=executor,
                tell=tell,
                map_bound=_map_bound(fitted, out),
                most_frames=fitted.block_frames,
            ),
            executor,
            _Tally(acquisition, fitted.config),
        )
        # Before the workers are closed: this cancels their pending blocks.
        closing.callback(events.close)
        for event in events:
            if recording is not None:
                if isinstance(event, MapsFinished):
                    yield StageStarted("writing")
                _record(recording, event)
            yield event


def _map_bound(fitted: Fitted, out: str | PathLike[str] | None) -> MemoryBound | None:
    """Limit of the maps' memory; beyond it they use the results folder, since /tmp may be in memory."""
    if fitted.map_bytes is None:
        return None
    return MemoryBound(fitted.map_bytes, None if out is None else Path(out))


def _recording(
    acquisition: Acquisition, fitted: Fitted, out: Path, *, resume: bool, overwrite: bool
) -> Recording:
    facts = {
        "program": program_facts(),
        "acquisition": acquisition_facts(acquisition),
        "config": fitted.config.to_dict(),
    }
    opening = (
        f"start of the run of {acquisition.name} ({acquisition.n_frames} frames)",
        *acquisition.notes,
        *fitted.notes,
        *advice(acquisition, fitted.config),
    )
    return Recording(out, facts, resume=resume, overwrite=overwrite, opening=opening)


def _record(recording: Recording, event: Event) -> None:
    if isinstance(event, RunPrepared):
        recording.prepared(event)
    elif isinstance(event, BlockFinished):
        recording.block(event)
    elif isinstance(event, BlockFailed):
        recording.failure(event)
    elif isinstance(event, MapsFinished):
        recording.maps(event)
    elif isinstance(event, RunFinished):
        recording.finish(event.report)


def _reported(
    events: Iterator[Event], executor: Executor, tally: _Tally
) -> Generator[Event, None, None]:
    """The events of `process`, then the report."""
    maps: MapsFinished | None = None
    for event in events:
        yield event
        if isinstance(event, BlockFinished):
            tally.block(event)
        elif isinstance(event, BlockFailed):
            tally.failed.append(event)
        elif isinstance(event, MapsFinished):
            tally.track_rows(event.tracks)
            maps = event
    if maps is not None:
        yield RunFinished(tally.report(maps, executor.peak_memory_bytes()))
