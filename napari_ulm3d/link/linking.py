"""From localizations to tracks: `link`, and `link_frames` for a stream of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.link.chains import Chain, ChainBuilder
from napari_ulm3d.link.motion import fill_gaps, smooth_and_differentiate
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, Localizations, Tracks

__all__ = ["link", "link_frames"]

_UM_PER_MM = 1000.0
_ROWS_AT_ONCE = 100_000


def link(
    localizations: Localizations,
    rate_hz: float,
    config: LinkConfig | None = None,
    *,
    breaks: Collection[int] = (),
) -> Tracks:
    """Join localizations into trajectories, smooth them and measure their velocities.

    Parameters
    ----------
    localizations
        Positions in um; rows need not be sorted. Columns ``vz_mm_s, vy_mm_s, vx_mm_s``, when
        there, are each localization's predicted velocity and guide the linking (NaN: none).
    rate_hz
        Frames a second.
    config
        Speed limit, gaps, shortest track, smoothing; None: the defaults.
    breaks
        Frames at which a new sequence begins; no track crosses into them.

    Returns
    -------
    Tracks, sorted by track_id and frame, one row a frame: smoothed positions (um), velocities
    and speed (mm/s), and the score of the localization (interpolated in a gap). Tracks are
    numbered from 0 in the order of their first frame, then of their row in it.

    Raises
    ------
    ConfigError
        The rate is not a positive number.
    ResultsError
        A position is NaN or infinite.
    """
    frames = localizations.frames
    if len(frames) and (frames[1:] < frames[:-1]).any():
        order = np.argsort(frames, kind="stable")
        localizations = Localizations(localizations.table.iloc[order])
    # In pieces, so that the points of finished tracks do not pile up as Python objects.
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
) -> Iterator[Tracks]:
    """Link a stream of localizations, yielding tracks as they are finished.

    Memory is bounded by the chunk, the live tracks and a few frames. However the rows are
    cut into chunks (even within a frame), the same tracks come with the same numbers.

    Parameters
    ----------
    chunks
        Tables that follow each other, sorted by frame. Frames may be missing.
    rate_hz, config
        As for `link`.
    breaks
        Frames at which a new sequence begins, ascending. A list may grow while the stream
        goes on, by frames that come after all that were given.

    Yields
    ------
    Once a chunk and once more at the end (an empty table where nothing is new): tracks that
    are finished and numbered, sorted by track_id and frame within each table. A
    track that lives long comes after shorter ones that have greater numbers.

    Raises
    ------
    ConfigError, ResultsError
        As for `link`; also where a frame comes before one that has been given already.
    """
    config = config or LinkConfig()
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"The frame rate is {rate_hz} Hz; give a positive one with --rate.")
    step_um = config.max_speed_mm_s * _UM_PER_MM / rate_hz
    gates = [step_um * apart for apart in range(1, config.max_gap_frames + 2)]
    builder = ChainBuilder(gates, config.min_length_frames)
    last = -1

    def push(rows: NDArray[np.float64]) -> None:
        nonlocal last
        frame = int(rows[0, 0])
        following = bisect_right(breaks, last)
        if following < len(breaks) and breaks[following] <= frame:
            builder.finish()
        last = frame
        builder.push(frame, rows[:, 1:4].copy(), rows[:, 5:].copy(), rows[:, :5].tolist())

    held = np.empty((0, 8))  # rows of the last frame: the next chunk may go on with it
    for chunk in chunks:
        *whole, held = _cut_into_frames(np.concatenate((held, _plain_rows(chunk, rate_hz))))
        for rows in whole:
            push(rows)
        yield _to_tracks(builder.take_finished(), rate_hz, config.smoothing_frames)
    if len(held):
        push(held)
    builder.finish()
    yield _to_tracks(builder.take_finished(), rate_hz, config.smoothing_frames)


def _cut_into_frames(rows: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The rows of each frame, at least one array."""
    forward = np.diff(rows[:, 0])
    if (forward < 0).any():
        late = int(rows[1:, 0][forward < 0][0])
        raise ResultsError(
            f"Localizations of frame {late} come after those of a later frame; sort the table "
            "by frame."
        )
    return np.split(rows, np.flatnonzero(forward) + 1)


def _plain_rows(chunk: Localizations, rate_hz: float) -> NDArray[np.float64]:
    """(n, 8) frame, z, y, x, score, and half the displacement expected within one frame."""
    rows = np.zeros((len(chunk), 8))
    rows[:, 0] = chunk.frames
    rows[:, 1:4] = chunk.positions_um
    rows[:, 4] = chunk.table["score"]
    bad = ~np.isfinite(rows[:, 1:4]).all(axis=1)
    if bad.any():
        raise ResultsError(
            f"A localization of frame {chunk.frames[bad][0]} has a position that is NaN or "
            "infinite; leave such rows out."
        )
    if set(VELOCITY_MM_S) <= set(chunk.table.columns):
        velocity = chunk.table[VELOCITY_MM_S].to_numpy(np.float64)
        known = np.isfinite(velocity).all(axis=1, keepdims=True)
        rows[:, 5:] = np.where(known, velocity, 0.0) * _UM_PER_MM / rate_hz / 2
    return rows


def _to_tracks(chains: list[Chain], rate_hz: float, window: int) -> Tracks:
    if not chains:
        return Tracks.empty()
    chains.sort(key=lambda chain: chain.id)
    points = np.array([row for chain in chains for row in chain.rows])
    first = np.concatenate(([0], np.cumsum([len(chain.rows) for chain in chains])))
    rows, first = fill_gaps(points, first)
    position, velocity = smooth_and_differentiate(rows[:, 1:4].copy(), first, window, 1 / rate_hz)
    velocity /= _UM_PER_MM
    columns: dict[str, Any] = {
        "track_id": np.repeat([chain.id for chain in chains], np.diff(first)),
        "frame": rows[:, 0].astype(np.int64),
        "time_s": rows[:, 0] / rate_hz,
        **{name: position[:, k] for k, name in enumerate(POSITION_UM)},
        **{name: velocity[:, k] for k, name in enumerate(VELOCITY_MM_S)},
        "speed_mm_s": np.sqrt((velocity**2).sum(axis=1)),
        "score": rows[:, 4],
    }
    return Tracks(pd.DataFrame(columns))
