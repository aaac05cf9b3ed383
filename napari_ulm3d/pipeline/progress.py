"""How far a run has come, the block that is being worked on included."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from napari_ulm3d.acquisition import Block
from napari_ulm3d.pipeline.events import (
    BlockFailed,
    BlockFinished,
    BlockProgress,
    Event,
    StageStarted,
)

__all__ = ["FramesDone", "Tell", "TellShare", "throttled", "time_text"]

#: Hears how far a block has come; called from the thread that works, or one that listens to
#: workers, and never much more often than a person can read.
Tell = Callable[[BlockProgress], None]
TellShare = Callable[[Block, float], None]

_INTERVAL_S = 0.2
# Of a block that must be localized before its speed tells something.
_TELLING_SHARE = 0.05


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


@dataclass
class _UnderWay:
    """A block that is worked on: filtered until its first frames are localized."""

    n_frames: int
    began: float
    share: float = 0.0
    # When it was first told that frames are localized, and which share of them.
    first_at: float | None = None
    first_share: float = 0.0

    def seconds(self, now: float) -> float | None:
        """What the whole block will take, by what its parts took; None before that is known."""
        if self.first_at is None:  # it was not told that it began
            return (now - self.began) / self.share if self.share >= _TELLING_SHARE else None
        told = self.share - self.first_share
        if told < _TELLING_SHARE:
            return None
        return self.first_at - self.began + (1 - self.first_share) * (now - self.first_at) / told


class FramesDone:
    """Frames that a run is through with, from its events and what it tells between them.

    The time left rests on work that was done here: on finished blocks, and before there is one on
    how long the first took to be filtered and its first frames to be localized. Neither what was
    measured before the first block nor blocks of an earlier run count.

    May hear events in one thread and progress in another.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[int, _UnderWay] = {}
        self._ended: set[int] = set()
        self._finished = self._reused = 0
        self._n_blocks = 0
        self._at_once = 1
        self._began: float | None = None
        self._last_end: float | None = None

    def hear(self, event: Event | BlockProgress) -> None:
        """Take note of an event."""
        with self._lock:
            now = time.perf_counter()
            if isinstance(event, BlockFinished | BlockFailed):
                self._ended.add(event.index)
                self._n_blocks = event.n_blocks
                self._finished += event.n_frames
                if isinstance(event, BlockFinished) and event.reused:
                    self._reused += event.n_frames
                    if self._finished == self._reused:
                        self._began = now  # nothing was worked on yet
                else:
                    self._last_end = now
                self._under_way.pop(event.index, None)
            # Of a cluster's worker it may come after the block itself.
            elif isinstance(event, BlockProgress) and event.index not in self._ended:
                self._hear_progress(event, now)
            elif isinstance(event, StageStarted) and event.name == "localizing":
                self._began = now
            if self._began is None:
                self._began = now

    def _hear_progress(self, event: BlockProgress, now: float) -> None:
        self._n_blocks = event.n_blocks
        last = self._last_end if self._at_once == 1 else None
        block = self._under_way.get(event.index)
        if block is None or event.share < block.share:  # it begins, or is tried again
            began = now if event.share == 0 or block else last or self._began or now
            self._under_way[event.index] = block = _UnderWay(event.n_frames, began)
        elif block.share == 0 < event.share:
            block.first_at, block.first_share = now, event.share
        block.share = event.share
        self._at_once = max(self._at_once, len(self._under_way))

    @property
    def frames(self) -> float:
        """Frames done, those of an earlier run included."""
        with self._lock:
            return self._finished + self._partly()

    def _partly(self) -> float:
        return sum(block.share * block.n_frames for block in self._under_way.values())

    def stage(self) -> str:
        """What is being done, in words: "Filtering block 1 of 3"; empty between blocks."""
        with self._lock:
            if not self._under_way:
                return ""
            index = min(self._under_way)
            doing = "Localizing" if self._under_way[index].share > 0 else "Filtering"
            return f"{doing} block {index + 1} of {self._n_blocks}"

    def rate_hz(self) -> float | None:
        """Volumes a second, filtering included, of what was worked on here; None before it is known."""
        with self._lock:
            now = time.perf_counter()
            worked = self._finished - self._reused
            if worked and self._last_end is not None and self._began is not None:
                seconds = self._last_end - self._began
                return worked / seconds if seconds > 0 else None
            known = [(block.seconds(now), block.n_frames) for block in self._under_way.values()]
            rates = [n / seconds for seconds, n in known if seconds]
            return sum(rates) / len(rates) * self._at_once if rates else None

    def seconds_left(self, n_all: int) -> float | None:
        """Until all frames are localized; None before that is known."""
        rate = self.rate_hz()
        if rate is None:
            return None
        with self._lock:
            now = time.perf_counter()
            blocks = self._under_way.values()
            begun = sum(block.n_frames for block in blocks)
            rest = max(n_all - self._finished - begun, 0) / rate
            in_hand = 0.0
            for block in blocks:
                whole = block.seconds(now) or block.n_frames * self._at_once / rate
                in_hand = max(in_hand, whole - (now - block.began))
        return rest + in_hand

    def text(self, n_all: int) -> str:
        """Speed and time left in words; empty while nothing is known of them."""
        rate, left = self.rate_hz(), self.seconds_left(n_all)
        if rate is None or left is None:
            return ""
        speed = f"{rate:,.{0 if rate >= 10 else 1}f} volumes/s"
        return f"{speed}, about {time_text(left)} left" if self.frames < n_all else speed


def time_text(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = -int(-seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
