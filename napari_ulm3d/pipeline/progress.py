"""How far a run has come, the block that is being worked on included."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from napari_ulm3d.acquisition import Block
from napari_ulm3d.pipeline.events import BlockFailed, BlockFinished, BlockProgress, Event

__all__ = ["FramesDone", "Tell", "TellShare", "throttled", "time_text"]

#: Hears how far a block has come; called from the thread that works, or one that listens to
#: workers, and never much more often than a person can read.
Tell = Callable[[BlockProgress], None]
TellShare = Callable[[Block, float], None]

_INTERVAL_S = 0.2


def throttled(
    tell: Callable[[float], None], interval_s: float = _INTERVAL_S
) -> Callable[[float], None]:
    """`tell`, called at once and then at most every `interval_s` seconds; for the whole always."""
    told = -float("inf")

    def perhaps(share: float) -> None:
        nonlocal told
        now = time.monotonic()
        if share >= 1 or now - told >= interval_s:
            told = now
            tell(share)

    return perhaps


class FramesDone:
    """Frames that a run is through with, from its events and what it tells between them.

    May hear events in one thread and progress in another.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[int, float] = {}
        self._ended: set[int] = set()
        self._finished = self._reused = 0
        self._began: float | None = None

    def hear(self, event: Event | BlockProgress) -> None:
        """Take note of an event."""
        with self._lock:
            if isinstance(event, BlockFinished | BlockFailed):
                self._ended.add(event.index)
                self._under_way.pop(event.index, None)
                self._finished += event.n_frames
                if isinstance(event, BlockFinished) and event.reused:
                    self._reused += event.n_frames
            # Of a cluster's worker it may come after the block itself.
            elif isinstance(event, BlockProgress) and event.index not in self._ended:
                self._under_way[event.index] = event.share * event.n_frames
            if self._began is None:
                self._began = time.perf_counter()

    @property
    def frames(self) -> float:
        """Frames done, those of an earlier run included."""
        with self._lock:
            return self._finished + sum(self._under_way.values())

    def rate_hz(self) -> float | None:
        """Volumes a second worked on since the first event; None before there are any."""
        with self._lock:
            frames = self._finished - self._reused + sum(self._under_way.values())
            seconds = 0.0 if self._began is None else time.perf_counter() - self._began
        return frames / seconds if frames and seconds > 0 else None

    def text(self, n_all: int) -> str:
        """Speed and time left in words; empty while nothing is known of them."""
        rate, left = self.rate_hz(), n_all - self.frames
        if rate is None:
            return ""
        speed = f"{rate:,.{0 if rate >= 10 else 1}f} volumes/s"
        return f"{speed}, about {time_text(left / rate)} left" if left > 0 else speed


def time_text(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = -int(-seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
