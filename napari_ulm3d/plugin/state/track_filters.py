"""Filters on the tracks in a map: by length, speed, time, score and position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.evaluate.region import Region
from napari_ulm3d.plugin.state.regions import inside_any
from napari_ulm3d.tables import Tracks

__all__ = ["EVERYWHERE", "TrackFilter", "filter_tracks"]

#: A box without limits.
EVERYWHERE = ((-np.inf, np.inf),) * 3


@dataclass(frozen=True)
class TrackFilter:
    """Limits on whole tracks; the defaults let everything pass.

    Attributes
    ----------
    min_length_frames
        Minimum number of frames of a track.
    speed_mm_s
        Minimum and maximum mean speed of a track.
    time_s
        Earliest start and latest end of a track.
    min_score
        Minimum mean score of a track.
    box_um
        Minimum and maximum z, y, x.
    regions
        The allowed region is the union of these. None: everywhere; an empty
        tuple: nowhere.
    cut
        Box and region. False: tracks that cross them stay whole. True: only their parts
        inside stay; a track that leaves and returns is cut in two, the second with a new
        number.
    """

    min_length_frames: int = 0
    speed_mm_s: tuple[float, float] = (0.0, np.inf)
    time_s: tuple[float, float] = (0.0, np.inf)
    min_score: float = 0.0
    box_um: tuple[tuple[float, float], ...] = EVERYWHERE
    regions: tuple[Region, ...] | None = None
    cut: bool = False

    @property
    def limits_place(self) -> bool:
        """Whether box or region exclude anything."""
        return self.box_um != EVERYWHERE or self.regions is not None


def filter_tracks(tracks: Tracks, chosen: TrackFilter) -> Tracks:
    """The tracks that pass, whole or cut at the region, in their order."""
    if not len(tracks) or chosen == TrackFilter(cut=chosen.cut):
        return tracks
    table = tracks.table
    identity = table["track_id"].to_numpy()
    _, inverse, counts = np.unique(identity, return_inverse=True, return_counts=True)

    def mean(column: str) -> NDArray[np.float64]:
        return np.bincount(inverse, table[column].to_numpy(np.float64)) / counts

    time_s = table["time_s"].to_numpy()
    begins = np.full(counts.size, np.inf)
    np.minimum.at(begins, inverse, time_s)
    ends = np.full(counts.size, -np.inf)
    np.maximum.at(ends, inverse, time_s)
    speed = mean("speed_mm_s")
    passes = (
        (counts >= chosen.min_length_frames)
        & (speed >= chosen.speed_mm_s[0])
        & (speed <= chosen.speed_mm_s[1])
        & (begins >= chosen.time_s[0])
        & (ends <= chosen.time_s[1])
        & (mean("score") >= chosen.min_score)
    )
    rows = passes[inverse]
    if not chosen.limits_place:
        return Tracks(table[rows].reset_index(drop=True))
    inside = _inside(tracks.positions_um, chosen)
    if not chosen.cut:
        touched = np.bincount(inverse, inside) > 0
        return Tracks(table[rows & touched[inverse]].reset_index(drop=True))
    return _cut(tracks, rows & inside)


def _inside(positions_um: NDArray[np.float64], chosen: TrackFilter) -> NDArray[np.bool_]:
    low, high = np.asarray(chosen.box_um, np.float64).T
    inside = ((positions_um >= low) & (positions_um <= high)).all(axis=1)
    if chosen.regions is not None:
        inside &= inside_any(chosen.regions, positions_um)
    return np.asarray(inside)


def _cut(tracks: Tracks, rows: NDArray[np.bool_]) -> Tracks:
    """The kept rows, with separated parts of a track as tracks of their own."""
    table = tracks.table[rows].copy()
    identity = table["track_id"].to_numpy()
    place = np.flatnonzero(rows)
    same = identity[1:] == identity[:-1]
    torn = np.flatnonzero(same & (np.diff(place) > 1)) + 1
    piece = np.zeros(len(table), np.int64)
    piece[torn] = 1
    piece = np.cumsum(piece)
    # The first piece of a track keeps its number, later ones get new numbers.
    first = np.concatenate(([True], ~same)) if len(table) else np.empty(0, bool)
    of_track = np.maximum.accumulate(np.where(first, piece, 0)) if len(table) else piece
    later = piece > of_track
    after = int(tracks.table["track_id"].max()) + 1
    _, number = np.unique(piece[later], return_inverse=True)
    identity = identity.copy()
    identity[later] = after + number
    table["track_id"] = identity
    return Tracks(table.sort_values(["track_id", "frame"], kind="stable", ignore_index=True))
