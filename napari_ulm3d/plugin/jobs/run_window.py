"""Localizing a frame, window or block by any method, and relinking, as work for a job."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.methods.networks import networks_with
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.link import link
from napari_ulm3d.pipeline.blocks import localize_block, resolved
from napari_ulm3d.pipeline.localizers import localizer_of
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.pipeline.trajectories import TrajectorySum
from napari_ulm3d.plugin.jobs.job import Stop, Work
from napari_ulm3d.plugin.jobs.run_series import Outcome, Progress, outcome_of, result_of
from napari_ulm3d.plugin.state.preview import Preview
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.saved_results import mapped
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["frame_work", "relink_work", "window_work"]


@dataclass(frozen=True)
class _Part:
    """Some frames of a block, filtered."""

    block: Block
    filtered: FilteredBlock
    plan: BlockPlan

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance of the networks, as in `run.toml`."""
        return {"weights": {one.role: one.facts() for one in self.plan.weights}}


def frame_work(preview: Preview, config: PipelineConfig, frame: int) -> Work:
    """Localize one frame; a network also gets the neighbouring frames that it needs."""

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        margin = localizer_of(config).context_frames(preview.acquisition, config)
        part = yield from _prepared(preview, config, frame, (frame - margin, frame + margin + 1))
        done = yield from _localized(part, stop)
        table = done.localizations.table
        found = Localizations(table[table["frame"] == frame].reset_index(drop=True))
        result = replace(
            result_of(preview.acquisition, config, found, Tracks.empty(), f"frame {frame}"),
            frames=(frame, frame + 1),
        )
        if done.trajectory is not None:
            result = replace(result, maps=_trajectory(done, preview.acquisition))
        return outcome_of(result.prepared(part.facts))

    return work


def window_work(
    preview: Preview, config: PipelineConfig, frame: int, n_frames: int | None = None
) -> Work:
    """Localize, track and map a window around one frame; None: the block that contains it.

    A window does not extend beyond its block, since the clutter filter does not either.
    """

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        acquisition = preview.acquisition
        span = None
        if n_frames is not None:
            first = frame - n_frames // 2
            span = (first, first + n_frames)
        part = yield from _prepared(preview, config, frame, span)
        done = yield from _localized(part, stop)
        yield Progress("Linking")
        tracks = link(done.localizations, acquisition.rate_hz, config.link)
        yield Progress("Mapping")
        first, last = part.block.first_frame, part.block.first_frame + part.block.n_frames - 1
        scope = f"block {part.block.index}" if n_frames is None else f"frames {first} to {last}"
        result = result_of(acquisition, config, done.localizations, tracks, scope)
        made = mapped(replace(result, frames=(first, last + 1)))
        maps = {**made.maps, **_trajectory(done, acquisition)}
        return outcome_of(replace(made.prepared(part.facts), maps=maps))

    return work


def relink_work(computed: Result, config: PipelineConfig) -> Work:
    """Rebuild tracks and maps from existing localizations; nothing is localized again.

    Parameters
    ----------
    computed
        A result as it was computed.
    config
        Its `link`, `maps` and, of a network's bubbles, `network.min_score` are applied.
    """

    def work(stop: Stop) -> Generator[Progress, None, Outcome]:
        yield Progress("Linking")
        found, changes = computed.localizations, {"link": config.link, "maps": config.maps}
        least = computed.least_score(config)
        if computed.config.localize.localizer in networks_with("min_score"):
            asked = config.network.min_score
            changes["network"] = computed.config.network.replace(min_score=asked)
            if least is not None and (found.table["score"] < least).any():
                table = found.table
                found = Localizations(table[table["score"] >= least].reset_index(drop=True))
        breaks = computed.breaks(config.link.breaks)
        tracks = link(found, computed.rate_hz, config.link, breaks=breaks)
        yield Progress("Mapping")
        again = replace(
            computed,
            localizations=found,
            tracks=tracks,
            config=computed.config.model_copy(update=changes),
            report=None,
            folder=None,
            saturation=None,
            created="",
            edits=(),  # they name tracks that are no more
            linked=None,
        )
        return outcome_of(mapped(again))

    return work


def _prepared(
    preview: Preview, config: PipelineConfig, frame: int, span: tuple[int, int] | None
) -> Generator[Progress, None, _Part]:
    yield Progress("Filtering")
    weights = localizer_of(config).weights(preview.acquisition, config)
    calibration = preview.calibration(config)
    blocks = preview.acquisition.blocks(config.load.block_frames)
    settings = resolved(config, calibration, blocks)
    plan = BlockPlan(preview.acquisition, settings, calibration.psf, weights, calibration)
    block, filtered = preview.filtered(config, frame)
    if span is None:
        return _Part(block, filtered, plan)
    length = min(span[1] - span[0], block.n_frames)
    # At the ends of the block the window is shifted inside.
    low = min(max(span[0] - block.first_frame, 0), block.n_frames - length)
    high = low + length
    cut = replace(
        block,
        first_frame=block.first_frame + low,
        start=block.start + low,
        stop=block.start + high,
    )
    return _Part(cut, filtered.part(low, high), plan)


def _localized(part: _Part, stop: Stop) -> Generator[Progress, None, BlockResult]:
    """Localize in a thread, so that progress can be yielded between its callbacks."""
    told: SimpleQueue[float | BlockResult | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            told.put(localize_block(part.block, part.plan, stop, part.filtered, told.put))
        except BaseException as error:  # passed to the waiting thread and raised there
            told.put(error)

    n_all = part.block.n_frames
    yield Progress("Localizing")
    thread = Thread(target=run, daemon=True)
    thread.start()
    while True:
        try:
            news = told.get(timeout=0.2)
        except Empty:
            continue
        if isinstance(news, BaseException):
            raise news
        if isinstance(news, BlockResult):
            thread.join()
            return news
        yield Progress("Localizing", news, round(news * n_all), n_all)


def _trajectory(done: BlockResult, acquisition: Acquisition) -> dict[str, Any]:
    sums = TrajectorySum()
    sums.add(done, acquisition.duration_s)
    return sums.maps()
