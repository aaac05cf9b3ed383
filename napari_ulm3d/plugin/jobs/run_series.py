"""Pipeline runs as work for a job, with progress and layers along the way."""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from napari_ulm3d.acquisition import Acquisition, source_path
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.execution import Execution
from napari_ulm3d.errors import Cancelled, ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.pipeline import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    ClusterReady,
    Event,
    FramesDone,
    MapsFinished,
    Noted,
    RunFinished,
    RunPrepared,
    RunReport,
    StageStarted,
    run_events,
)
from napari_ulm3d.pipeline.progress import Tell
from napari_ulm3d.pipeline.trajectories import TrajectorySum
from napari_ulm3d.plugin.jobs.job import Stop, Work, waits
from napari_ulm3d.plugin.jobs.progress import Progress
from napari_ulm3d.plugin.layers.convert import localizations_layer, map_layer, tracks_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.state.results import WHOLE_SERIES, Result
from napari_ulm3d.plugin.state.saved_results import mapped, result_of_folder
from napari_ulm3d.tables import Localizations, Tracks

__all__ = [
    "Outcome",
    "Progress",
    "blocks_done",
    "files_of",
    "outcome_of",
    "reopen_work",
    "result_of",
    "series_work",
]

log = logging.getLogger("napari_ulm3d")

# During a run so few points are drawn that updating them is never noticed.
_GROWING_POINTS = 10_000
_SECONDS_BETWEEN_LAYERS = 1.0


@dataclass(frozen=True)
class Outcome:
    """A result and the layers that show it."""

    result: Result
    layers: tuple[Any, ...] = ()
    stale_roles: tuple[str, ...] = ()


@dataclass
class _Grown:
    """Tables of the finished blocks, in the order of the run."""

    localizations: list[Localizations] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)
    failed: list[BlockFailed] = field(default_factory=list)
    trajectories: TrajectorySum = field(default_factory=TrajectorySum)
    motion: list[Any] = field(default_factory=list)
    n_frames: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    done: FramesDone = field(default_factory=FramesDone)

    def progress(
        self, n_all: int, stage: str = "Localizing", layers: tuple[Any, ...] = ()
    ) -> Progress:
        """The progress so far, including the current block."""
        frames, stage = self.done.frames, self.done.stage() or stage
        share = frames / n_all if frames else None
        failed, pace = tuple(self.failed), self.done.text(n_all)
        return Progress(stage, share, int(frames), n_all, layers, failed, pace=pace)

    def tables(self) -> tuple[Localizations, Tracks]:
        found = Tracks.concat(self.tracks).table
        ordered = found.sort_values(["track_id", "frame"], kind="stable", ignore_index=True)
        return Localizations.concat(self.localizations), Tracks(ordered)


def series_work(
    acquisition: Acquisition,
    config: PipelineConfig,
    folder: str | None,
    execution: Execution | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Work:
    """Run the whole pipeline, into a results folder if one is named.

    If stopped, it returns the result of the finished blocks, if there are any. `tell`
    is called with the progress within a block while the work waits for it.
    """

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        grown = _Grown()

        def heard(progress: BlockProgress) -> None:
            grown.done.hear(progress)
            if tell is not None:
                tell(grown.progress(acquisition.n_frames))

        try:
            events = _events(acquisition, config, folder, stop, execution, heard)
            told, report = yield from _follow(acquisition, events, stop, grown)
        except Cancelled:
            if not grown.localizations:
                raise
            found, tracks = grown.tables()
            result = result_of(acquisition, config, found, tracks, WHOLE_SERIES)
            # Finished blocks get their maps too; a results folder can be resumed.
            partial = replace(
                result,
                complete=False,
                failed=tuple(grown.failed),
                frames=(0, grown.n_frames),
                folder=None if folder is None else Path(folder),
            )
            made = mapped(partial)
            maps = {**made.maps, **grown.trajectories.maps()}
            return outcome_of(replace(made.prepared(grown.facts), maps=maps))
        found, tracks = grown.tables()
        result = replace(
            result_of(acquisition, config, found, tracks, WHOLE_SERIES),
            maps=told.maps,
            saturation=told.saturation,
            resolution=told.resolution,
            chance=told.chance.to_table(),
            motion=pd.concat(grown.motion, ignore_index=True) if grown.motion else None,
            report=report,
            folder=None if folder is None else Path(folder),
            failed=tuple(grown.failed),
        )
        return outcome_of(result.prepared(grown.facts))

    return work


def _follow(
    acquisition: Acquisition,
    events: Iterable[Event],
    stop: Stop,
    grown: _Grown,
) -> Generator[Progress, None, tuple[MapsFinished, RunReport | None]]:
    """Run, report the progress and gather the tables."""
    maps: MapsFinished | None = None
    report: RunReport | None = None
    told = 0.0
    n_all = acquisition.n_frames
    for event in events:
        if stop():
            raise Cancelled("The run was cancelled; finished blocks are kept.")
        grown.done.hear(event)
        if isinstance(event, StageStarted):
            yield grown.progress(n_all, event.name.capitalize())
        elif isinstance(event, RunPrepared):
            grown.facts = event.facts
        elif isinstance(event, ClusterReady):
            yield Progress("Working", note=_cluster_text(event))
        elif isinstance(event, Noted):
            yield Progress("Working", note=event.text)
        elif isinstance(event, BlockFailed):
            grown.failed.append(event)
            grown.n_frames += event.n_frames
            yield grown.progress(n_all)
        elif isinstance(event, BlockFinished):
            grown.n_frames += event.n_frames
            grown.localizations.append(event.result.localizations)
            if event.result.motion is not None:
                grown.motion.append(event.result.motion)
            end = event.first_frame + event.n_frames
            grown.trajectories.add(event.result, end / acquisition.rate_hz)
            grown.tracks.append(event.tracks)
            layers: tuple[Any, ...] = ()
            if time.perf_counter() - told > _SECONDS_BETWEEN_LAYERS:
                layers = _growing(acquisition, grown)
                told = time.perf_counter()
            yield grown.progress(n_all, layers=layers)
        elif isinstance(event, MapsFinished):
            grown.tracks.append(event.tracks)
            maps = event
        elif isinstance(event, RunFinished):
            report = event.report
    assert maps is not None
    return maps, report


def reopen_work(folder: str | Path) -> Work:
    """Load the result in a results folder, with its layers."""
    return waits(lambda stop: outcome_of(result_of_folder(folder)))


def _events(
    acquisition: Acquisition,
    config: PipelineConfig,
    folder: str | None,
    stop: Stop,
    execution: Execution | None,
    tell: Tell,
) -> Generator[Event, None, None]:
    if folder is None:
        for event in run_events(acquisition, config, stop=stop, execution=execution, tell=tell):
            _say(event)
            yield event
        return
    resume = (Path(folder) / "run.toml").is_file()
    # A run with failed blocks may be retried there.
    if resume and _is_whole(ResultsFolder.open(folder)):
        raise ResultsError(
            f"{folder}: already contains a finished run. Choose another folder, or reopen "
            "that run from Run history."
        )
    yield from run_events(
        acquisition, config, folder, resume=resume, stop=stop, execution=execution, tell=tell
    )


def blocks_done(folder: str) -> int | None:
    """Number of blocks finished by an unfinished run in a folder; None without such a run."""
    if not folder or not (Path(folder) / "run.toml").is_file():
        return None
    try:
        results = ResultsFolder.open(folder)
        if results.complete:
            return None
    except ResultsError:
        return None
    return sum(1 for _ in (results.path / "blocks").glob("*.npz"))


def _is_whole(results: ResultsFolder) -> bool:
    return results.complete and not results.facts().get("result", {}).get("failed")


def _say(event: Event) -> None:
    """Log the events of a run in memory; a run into a folder writes its own log."""
    if isinstance(event, BlockFinished):
        n = len(event.result.localizations)
        log.info(
            "block %d of %d: %d frames, %d localizations, %.2f s",
            *(event.index + 1, event.n_blocks, event.n_frames, n, event.seconds),
        )
    elif isinstance(event, BlockFailed):
        log.warning(
            "block %d of %d (%s) skipped: %s",
            *(event.index + 1, event.n_blocks, event.name, event.reason),
        )
    elif isinstance(event, RunFinished):
        for name, value in event.report.rows():
            log.info("%s: %s", name.strip(), value)
        for said in event.report.advised():
            log.info("what next: %s", said)


def _cluster_text(event: ClusterReady) -> str:
    workers = f"{event.n_workers} worker{'s' if event.n_workers != 1 else ''}"
    if not event.dashboard:
        return f"{workers} running."
    link = html.escape(event.dashboard, quote=True)
    return f'{workers} running; <a href="{link}">dashboard: {link}</a>'


def files_of(acquisition: Acquisition) -> tuple[str, ...]:
    """The files of an acquisition, if it has any."""
    return tuple(str(path) for path in map(source_path, acquisition.sources) if path)


def result_of(
    acquisition: Acquisition,
    config: PipelineConfig,
    found: Localizations,
    tracks: Tracks,
    scope: str,
) -> Result:
    return Result(
        grid=acquisition.grid,
        rate_hz=acquisition.rate_hz,
        duration_s=acquisition.duration_s,
        config=config,
        localizations=found,
        tracks=tracks,
        scope=scope,
        name=acquisition.name,
        wavelength_um=acquisition.wavelength_um,
        files=files_of(acquisition),
    )


def _points(result: Result) -> Any:
    grid = result.grid
    resolved = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    size = 1.5 * min(resolved or grid.spacing_um)
    return make_layer(
        localizations_layer(result.localizations, result.rate_hz, size), "localizations"
    )


def outcome_of(result: Result) -> Outcome:
    """The result with all its layers: density at the bottom, tracks above it, bubbles on top."""
    made = {}
    name = "density" if len(result.tracks) else "trajectory"
    if name in result.maps:
        made["map"] = make_layer(map_layer(result.maps[name]), "map")
    if len(result.tracks):
        made["tracks"] = make_layer(tracks_layer(result.tracks, rate_hz=result.rate_hz), "tracks")
    made["localizations"] = _points(result)
    if not result.complete:
        for layer in made.values():
            layer.name = f"{layer.name} (stopped early)"
    if result.failed:
        n = len(result.failed)
        for layer in made.values():
            layer.name = f"{layer.name} ({n} block{'s' if n > 1 else ''} failed)"
    stale = tuple(role for role in ("map", "tracks") if role not in made)
    return Outcome(result, tuple(made.values()), stale)


def _growing(acquisition: Acquisition, grown: _Grown) -> tuple[Any, ...]:
    tracks = Tracks.concat(grown.tracks)
    if not len(tracks):
        return ()
    layer = tracks_layer(tracks, rate_hz=acquisition.rate_hz, max_points=_GROWING_POINTS)
    return (make_layer(layer, "tracks"),)
