"""Sort a stream of finished tracks by number."""

from __future__ import annotations

import numpy as np

from napari_ulm3d.tables import Tracks

__all__ = ["TrackSorter"]


class TrackSorter:
    """Holds tracks back until all tracks with smaller numbers have arrived.

    Tracks are numbered 0, 1, 2, ... by their first frame, but long ones finish late. The
    number waiting is bounded by the tracks that begin during the longest one.
    """

    def __init__(self) -> None:
        self._next = 0
        self._waiting: list[Tracks] = []

    def push(self, tracks: Tracks) -> Tracks:
        """Add finished tracks; return those next in order, sorted."""
        if len(tracks):
            self._waiting.append(tracks)
        table = Tracks.concat(self._waiting).table
        identity = table["track_id"].to_numpy()
        numbers = np.unique(identity)
        here = numbers == np.arange(self._next, self._next + numbers.size)
        ready = numbers.size if here.all() else int(np.argmin(here))
        self._next += ready
        self._waiting = [Tracks(table[identity >= self._next])]
        out = table[identity < self._next]
        order = np.argsort(out["track_id"].to_numpy(), kind="stable")
        return Tracks(out.iloc[order].reset_index(drop=True))
