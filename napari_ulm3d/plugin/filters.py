"""Which tracks a map is made of: by length, speed, time and score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ulm3d.tables import Tracks

__all__ = ["TrackFilter", "filter_tracks"]


@dataclass(frozen=True)
class TrackFilter:
    """Limits on whole tracks; those left at their defaults let everything through.

    Attributes
    ----------
    min_length_frames
        Fewest frames of a track.
    speed_mm_s
        Least and largest mean speed of a track.
    time_s
        A track begins at or after the first and ends at or before the second.
    min_score
        Least mean score of a track.
    """

    min_length_frames: int = 0
    speed_mm_s: tuple[float, float] = (0.0, np.inf)
    time_s: tuple[float, float] = (0.0, np.inf)
    min_score: float = 0.0


def filter_tracks(tracks: Tracks, chosen: TrackFilter) -> Tracks:
    """The tracks that pass, whole and in their order."""
    if chosen == TrackFilter() or not len(tracks):
        return tracks
    table = tracks.table
    identity = table["track_id"].to_numpy()
    _, inverse, counts = np.unique(identity, return_inverse=True, return_counts=True)

    def mean(column: str) -> np.ndarray:
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
    return Tracks(table[passes[inverse]].reset_index(drop=True))
