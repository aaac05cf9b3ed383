"""Runs of the pipeline as work for a job: progress out, layers made on the way."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import correlation_map
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.link import link
from napari_ulm3d.localize import localize
from napari_ulm3d.maps import MapAccumulator, resolution, saturation_curve
from napari_ulm3d.pipeline import (
    BlockFinished,
    Event,
    MapsFinished,
    RunFinished,
    RunReport,
    StageStarted,
    process,
    run_events,
)
from napari_ulm3d.pipeline.blocks import localize_block
from napari_ulm3d.plugin.job import Stop, Work, waits
from napari_ulm3d.plugin.layers import localizations_layer, map_layer, tracks_layer
from napari_ulm3d.plugin.placing import make_layer
from napari_ulm3d.plugin.preview import Preview
from napari_ulm3d.plugin.results import Result
from napari_ulm3d.tables import Localizations, Tracks

__all__ = [
    "Outcome",
    "Progress",
    "block_work",
    "frame_work",
    "relink_work",
    "series_work",
]

# While a run goes on, so few points are drawn that renewing them is never felt.
_GROWING_POINTS = 10_000
_SECONDS_BETWEEN_LAYERS = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    share
        0 to 1; None while that is not known.
    layers
        Layers to show now, grown since the last.
    """

    stage: str
    share: float | None = None
    n_frames: int = 0
    n_all: int = 0
    layers: tuple[Any, ...] = ()

    def text(self, seconds: float) -> str:
        """The progress in words, with the speed and the time left."""
        if not self.n_frames or not self.share:
            return f"{self.stage}…"
        rate = self.n_frames / max(seconds, 1e-9)
        left = seconds * (1 - self.share) / self.share
        return (
            f"{self.stage}: {self.n_frames:,} of {self.n_all:,} frames, {rate:,.0f} volumes/s, "
            f"about {_time(left)} left"
        )


@dataclass(frozen=True)
class Outcome:
    """A result and the layers that show it."""

    result: Result
    layers: tuple[Any, ...] = ()
    stale_roles: tuple[str, ...] = ()


@dataclass
class _Grown:
    """Tables of what is finished, in the order of the run."""

    localizations: list[Localizations] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)

    def tables(self) -> tuple[Localizations, Tracks]:
        found = Tracks.concat(self.tracks).table
        ordered = found.sort_values(["track_id", "frame"], kind="stable", ignore_index=True)
        return Localizations.concat(self.localizations), Tracks(ordered)


def frame_work(preview: Preview, config: PipelineConfig, frame: int) -> Work:
    """Localize one frame."""

    def work(stop: Stop) -> Outcome:
        acquisition = preview.acquisition
        psf = preview.psf(config)
        block, filtered = preview.filtered(config, frame)
        at = frame - block.first_frame
        frames = filtered.frames[at : at + 1]
        found = localize(
            frames,
            acquisition.grid,
            config.localize,
            rate_hz=acquisition.rate_hz,
            first_frame=frame,
            correlation=correlation_map(frames, psf),
        ).localizations
        result = _result(acquisition, config, found, Tracks.empty(), f"frame {frame}")
        return Outcome(result, (_points(result),), ("tracks", "map"))

    return waits(work)


def block_work(preview: Preview, config: PipelineConfig, frame: int) -> Work:
    """Localize and track the block that holds a frame."""

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        acquisition = preview.acquisition
        yield Progress("Filtering")
        psf = preview.psf(config)
        block, filtered = preview.filtered(config, frame)
        yield Progress("Localizing")
        found = localize_block(block, acquisition, psf, config, stop, filtered).localizations
        yield Progress("Linking")
        tracks = link(found, acquisition.rate_hz, config.link)
        yield Progress("Mapping")
        result = _mapped(_result(acquisition, config, found, tracks, f"block {block.index}"))
        return _outcome(result)

    return work


def series_work(acquisition: Acquisition, config: PipelineConfig, folder: str | None) -> Work:
    """Run the whole pipeline, into a results folder if one is named.

    Stopped, it ends with the result of the blocks that were finished, if there are any.
    """

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        grown = _Grown()
        try:
            maps, report = yield from _follow(acquisition, config, folder, stop, grown)
        except Cancelled:
            if not grown.localizations:
                raise
            found, tracks = grown.tables()
            result = _result(acquisition, config, found, tracks, "whole series")
            return _outcome(replace(result, complete=False))
        found, tracks = grown.tables()
        result = replace(
            _result(acquisition, config, found, tracks, "whole series"),
            maps=maps.maps,
            saturation=maps.saturation,
            resolution=maps.resolution,
            report=report,
            folder=None if folder is None else Path(folder),
        )
        return _outcome(result)

    return work


def _follow(
    acquisition: Acquisition,
    config: PipelineConfig,
    folder: str | None,
    stop: Stop,
    grown: _Grown,
) -> Generator[Progress, None, tuple[MapsFinished, RunReport | None]]:
    """Run, telling the progress and gathering the tables."""
    maps: MapsFinished | None = None
    report: RunReport | None = None
    n_frames, told = 0, 0.0
    for event in _events(acquisition, config, folder, stop):
        if stop():
            raise Cancelled("The run was stopped; finished blocks are kept.")
        if isinstance(event, StageStarted):
            share = n_frames / acquisition.n_frames if n_frames else None
            yield Progress(event.name.capitalize(), share, n_frames, acquisition.n_frames)
        elif isinstance(event, BlockFinished):
            n_frames += event.n_frames
            grown.localizations.append(event.result.localizations)
            grown.tracks.append(event.tracks)
            layers: tuple[Any, ...] = ()
            if time.perf_counter() - told > _SECONDS_BETWEEN_LAYERS:
                layers = _growing(acquisition, grown)
                told = time.perf_counter()
            share = n_frames / acquisition.n_frames
            yield Progress("Localizing", share, n_frames, acquisition.n_frames, layers)
        elif isinstance(event, MapsFinished):
            grown.tracks.append(event.tracks)
            maps = event
        elif isinstance(event, RunFinished):
            report = event.report
    assert maps is not None
    return maps, report


def relink_work(result: Result, config: PipelineConfig) -> Work:
    """Tracks and maps anew from the localizations of a result."""

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        yield Progress("Linking")
        tracks = link(result.localizations, result.rate_hz, config.link)
        yield Progress("Mapping")
        made_with = result.config.model_copy(update={"link": config.link, "maps": config.maps})
        again = replace(
            result, tracks=tracks, config=made_with, report=None, folder=None, saturation=None
        )
        return _outcome(_mapped(again))

    return work


def _events(
    acquisition: Acquisition, config: PipelineConfig, folder: str | None, stop: Stop
) -> Generator[Event, None, None]:
    if folder is None:
        yield from process(acquisition, config, stop=stop)
        return
    resume = (Path(folder) / "run.toml").is_file() and not ResultsFolder.open(folder).complete
    yield from run_events(acquisition, config, folder, resume=resume, stop=stop)


def _result(
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
    )


def _mapped(result: Result) -> Result:
    """The result with the maps of its tracks."""
    accumulator = MapAccumulator(result.grid, result.config.maps)
    accumulator.add(result.tracks)
    return replace(
        result,
        maps={**result.maps, **accumulator.maps()},
        saturation=saturation_curve(accumulator, duration_s=result.duration_s),
        resolution=resolution(*accumulator.halves()) if result.config.maps.fsc else None,
    )


def _points(result: Result) -> Any:
    grid = result.grid
    resolved = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    size = 1.5 * min(resolved or grid.spacing_um)
    return make_layer(
        localizations_layer(result.localizations, result.rate_hz, size), "localizations"
    )


def _outcome(result: Result) -> Outcome:
    """The result with all its layers: density below, tracks over it, bubbles on top."""
    made = {}
    if result.maps and len(result.tracks):
        made["map"] = make_layer(map_layer(result.maps["density"]), "map")
    if len(result.tracks):
        made["tracks"] = make_layer(tracks_layer(result.tracks, rate_hz=result.rate_hz), "tracks")
    made["localizations"] = _points(result)
    if not result.complete:
        for layer in made.values():
            layer.name = f"{layer.name} (stopped early)"
    stale = tuple(role for role in ("map", "tracks") if role not in made)
    return Outcome(result, tuple(made.values()), stale)


def _growing(acquisition: Acquisition, grown: _Grown) -> tuple[Any, ...]:
    tracks = Tracks.concat(grown.tracks)
    if not len(tracks):
        return ()
    layer = tracks_layer(tracks, rate_hz=acquisition.rate_hz, max_points=_GROWING_POINTS)
    return (make_layer(layer, "tracks"),)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = int(np.ceil(seconds / 60))
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
