"""From localizations to tracks: `link`, and `link_frames` for a stream of localizations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link.chains import Chain, ChainBuilder
from napari_ulm3d.link.chance import ChanceSample, ChanceTracks
from napari_ulm3d.link.learning import motion_model, sample_size
from napari_ulm3d.link.local_fit import local_parabolas
from napari_ulm3d.link.motion import fill_gaps, smooth_and_differentiate
from napari_ulm3d.link.points import UM_PER_MM, gates_um, plain_rows, refuse_unordered
from napari_ulm3d.link.prediction import MotionModel
from napari_ulm3d.link.speed import with_speed
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, Localizations, Tracks

__all__ = ["link", "link_frames"]

_ROWS_AT_ONCE = 100_000


def link(
    localizations: Localizations,
    rate_hz: float,
    config: LinkConfig | None = None,
    *,
    breaks: Collection[int] = (),
) -> Tracks:
    """Join localizations into trajectories, smooth them and compute their velocities.

    Parameters
    ----------
    localizations
        Positions in um; rows need not be sorted. Optional columns ``vz_mm_s, vy_mm_s, vx_mm_s``
        contain predicted velocities, which guide the linking (NaN: none).
    rate_hz
        Frames per second.
    config
        Speed limit, gaps, minimum track length, smoothing; None: the defaults.
    breaks
        Frames at which a new sequence begins; no track crosses them.

    Returns
    -------
    Tracks, sorted by track_id and frame, one row per frame: smoothed positions (um), velocities
    and speed (mm/s), and the score of the localization (interpolated in a gap). Tracks are
    numbered from 0 by their first frame, then by their row in it.

    Raises
    ------
    ConfigError
        The rate is not positive.
    ResultsError
        A position is NaN or infinite.
    """
    frames = localizations.frames
    if len(frames) and (frames[1:] < frames[:-1]).any():
        order = np.argsort(frames, kind="stable")
        localizations = Localizations(localizations.table.iloc[order])
    # Link in pieces, so that the points of finished tracks do not accumulate as Python objects.
    table = localizations.table
    pieces = (
        Localizations(table.iloc[start : start + _ROWS_AT_ONCE])
        for start in range(0, len(table), _ROWS_AT_ONCE)
    )
    tracks = Tracks.concat(link_frames(pieces, rate_hz, config, breaks=sorted(breaks))).table
    order = np.argsort(tracks["track_id"].to_numpy(), kind="stable")
    return Tracks(tracks.iloc[order].reset_index(drop=True))


def link_frames(
    chunks: Iterable[Localizations],
    rate_hz: float,
    config: LinkConfig | None = None,
    *,
    breaks: Sequence[int] = (),
    chosen: Callable[[ChanceTracks], None] | None = None,
) -> Iterator[Tracks]:
    """Link a stream of localizations, yielding tracks as they are finished.

    Memory is bounded by the chunk, the live tracks and a few frames. The tracks and their
    numbers do not depend on how the rows are divided into chunks (even within a frame).

    Parameters
    ----------
    chunks
        Consecutive tables, sorted by frame. Frames may be missing.
    rate_hz, config
        As in `link`.
    breaks
        Frames at which a new sequence begins, ascending. A list may be extended during the
        stream, by frames after all those already given.
    chosen
        Called with the tracks by chance if `min_length_frames` is chosen from the data.
        The first localizations are held back until there are enough for this choice, or (fewer) for the
        choice of a speed limit and the model of motion.

    Yields
    ------
    One table per chunk, possibly empty, and one at the end: tracks that are finished and
    numbered, sorted by track_id and frame within each table. A long-lived track may come
    after shorter ones with higher numbers.

    Raises
    ------
    ConfigError, ResultsError
        As in `link`; also if a frame comes before one that has already been given.
    """
    config = config or LinkConfig()
    if config.max_speed_mm_s is None or config.prediction != "none":
        yield from _with_sample(chunks, rate_hz, config, breaks, chosen)
    else:
        yield from _linked(chunks, rate_hz, config, breaks, chosen, None)


def _linked(
    chunks: Iterable[Localizations],
    rate_hz: float,
    config: LinkConfig,
    breaks: Sequence[int],
    chosen: Callable[[ChanceTracks], None] | None,
    model: MotionModel | None,
) -> Iterator[Tracks]:
    """`link_frames` with a known speed limit and motion."""
    gates = gates_um(rate_hz, config)
    if config.min_length_frames is None:
        yield from _with_chosen_length(chunks, rate_hz, config, breaks, chosen, model)
        return
    builder = ChainBuilder(gates, config.min_length_frames, model)
    last = -1

    def push(rows: NDArray[np.float64]) -> None:
        nonlocal last
        frame = int(rows[0, 0])
        following = bisect_right(breaks, last)
        if following < len(breaks) and breaks[following] <= frame:
            builder.finish()
        last = frame
        builder.push(frame, rows[:, 1:4].copy(), rows[:, 5:].copy(), rows[:, :5].tolist())

    held = np.empty((0, 8))  # rows of the last frame, which the next chunk may continue
    for chunk in chunks:
        *whole, held = _cut_into_frames(np.concatenate((held, plain_rows(chunk, rate_hz))))
        for rows in whole:
            push(rows)
        yield _to_tracks(builder.take_finished(), rate_hz, config)
    if len(held):
        push(held)
    builder.finish()
    yield _to_tracks(builder.take_finished(), rate_hz, config)


def _with_chosen_length(
    chunks: Iterable[Localizations],
    rate_hz: float,
    config: LinkConfig,
    breaks: Sequence[int],
    chosen: Callable[[ChanceTracks], None] | None,
    model: MotionModel | None,
) -> Iterator[Tracks]:
    """`link_frames` that holds back localizations until the minimum length is known."""
    sample = ChanceSample()

    def full(held: list[Localizations]) -> bool:
        sample.add(held[-1])
        return sample.full

    stream = iter(chunks)
    held, more = yield from _held_back(stream, full)
    found = sample.chance(rate_hz, config, breaks)
    if chosen is not None:
        chosen(found)
    known = config.replace(min_length_frames=found.least_length())
    linked = _linked(chain(held, stream), rate_hz, known, breaks, None, model)
    yield from _caught_up(linked, len(held), more)


def _with_sample(
    chunks: Iterable[Localizations],
    rate_hz: float,
    config: LinkConfig,
    breaks: Sequence[int],
    chosen: Callable[[ChanceTracks], None] | None,
) -> Iterator[Tracks]:
    """`link_frames` that holds back localizations until the speed limit and the motion are known."""

    def enough(held: list[Localizations]) -> bool:
        return sample_size(np.concatenate([one.frames for one in held])) is not None

    stream = iter(chunks)
    held, more = yield from _held_back(stream, enough)
    found = Localizations.concat(held)
    known = with_speed(found, rate_hz, config, breaks)
    rows = plain_rows(found, rate_hz)
    refuse_unordered(rows[:, 0])
    model = motion_model(rows, rate_hz, known, breaks)
    linked = _linked(chain(held, stream), rate_hz, known, breaks, chosen, model)
    yield from _caught_up(linked, len(held), more)


def _held_back(
    stream: Iterator[Localizations], enough: Callable[[list[Localizations]], bool]
) -> Generator[Tracks, None, tuple[list[Localizations], bool]]:
    """Take chunks until there are enough, yielding an empty table for all but the last.

    Returns
    -------
    The chunks, and whether they were enough; if not, the stream has ended.
    """
    held: list[Localizations] = []
    for chunk in stream:
        held.append(chunk)
        if enough(held):
            return held, True
        yield Tracks.empty()
    return held, False


def _caught_up(linked: Iterator[Tracks], n_held: int, more: bool) -> Iterator[Tracks]:
    """Restore one table per chunk: those held back have had theirs, except the last if more follow."""
    first = [next(linked) for _ in range(n_held - 1 if more else n_held)]
    if not more:
        yield Tracks.concat([*first, *linked])
        return
    yield Tracks.concat([*first, next(linked)])
    yield from linked


def _cut_into_frames(rows: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The rows of each frame, at least one array."""
    refuse_unordered(rows[:, 0])
    return np.split(rows, np.flatnonzero(np.diff(rows[:, 0])) + 1)


def _to_tracks(chains: list[Chain], rate_hz: float, config: LinkConfig) -> Tracks:
    if not chains:
        return Tracks.empty()
    chains.sort(key=lambda one: one.id)
    points = np.array([row for one in chains for row in one.rows])
    first = np.concatenate(([0], np.cumsum([len(one.rows) for one in chains])))
    rows, first = fill_gaps(points, first)
    position, window = rows[:, 1:4].copy(), config.smoothing_frames
    if config.smoothing_distance_um is not None:
        position, window = local_parabolas(position, first, config.smoothing_distance_um), 1
    position, velocity = smooth_and_differentiate(position, first, window, 1 / rate_hz)
    velocity /= UM_PER_MM
    columns: dict[str, Any] = {
        "track_id": np.repeat([one.id for one in chains], np.diff(first)),
        "frame": rows[:, 0].astype(np.int64),
        "time_s": rows[:, 0] / rate_hz,
        **{name: position[:, k] for k, name in enumerate(POSITION_UM)},
        **{name: velocity[:, k] for k, name in enumerate(VELOCITY_MM_S)},
        "speed_mm_s": np.sqrt((velocity**2).sum(axis=1)),
        "score": rows[:, 4],
    }
    return Tracks(pd.DataFrame(columns))
