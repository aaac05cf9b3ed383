"""Progress of a run, including the current block."""

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

#: Receives the progress of a block, a few times per second, from the thread that does the work or
#: one that listens to workers.
Tell = Callable[[BlockProgress], None]
TellShare = Callable[[Block, float], None]

_INTERVAL_S = 0.2
# Share of a block that must be localized before its speed is known.
_TELLING_SHARE = 0.05


def throttled(
    tell: Callable[[float], None], interval_s: float = _INTERVAL_S
) -> Callable[[float], None]:
    """`tell`, called at most every `interval_s` seconds, but always when the block is done."""
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
    """A block in progress; it is being filtered until its first frames are localized."""

    n_frames: int
    began: float
    share: float = 0.0
    # Time and share of the first report of localized frames.
    first_at: float | None = None
    first_share: float = 0.0

    def seconds(self, now: float) -> float | None:
        """Estimated time for the whole block; None before it is known."""
        if self.first_at is None:  # its start was not reported
            return (now - self.began) / self.share if self.share >= _TELLING_SHARE else None
        told = self.share - self.first_share
        if told < _TELLING_SHARE:
            return None
        return self.first_at - self.began + (1 - self.first_share) * (now - self.first_at) / told


class FramesDone:
    """Counts the frames done, from the events and the progress between them.

    The time left is estimated from blocks finished in this run; before there is one, from the time
    to filter the first and localize its first frames. The calibration and blocks of an earlier run
    do not count. Events and progress may arrive in different threads.
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
        """Process an event."""
        with self._lock:
            now = time.perf_counter()
            if isinstance(event, BlockFinished | BlockFailed):
                self._ended.add(event.index)
                self._n_blocks = event.n_blocks
                self._finished += event.n_frames
                if isinstance(event, BlockFinished) and event.reused:
                    self._reused += event.n_frames
                    if self._finished == self._reused:
                        self._began = now  # all blocks so far were reused
                else:
                    self._last_end = now
                self._under_way.pop(event.index, None)
            # Progress from a cluster's worker may arrive after the block itself.
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
        if block is None or event.share < block.share:  # it begins or is retried
            began = now if event.share == 0 or block else last or self._began or now
            self._under_way[event.index] = block = _UnderWay(event.n_frames, began)
        elif block.share == 0 < event.share:
            block.first_at, block.first_share = now, event.share
        block.share = event.share
        self._at_once = max(self._at_once, len(self._under_way))

    @property
    def frames(self) -> float:
        """Frames done, including those of an earlier run."""
        with self._lock:
            return self._finished + self._partly()

    def _partly(self) -> float:
        return sum(block.share * block.n_frames for block in self._under_way.values())

    def stage(self) -> str:
        """Current step in words, such as "Filtering block 1 of 3"; empty between blocks."""
        with self._lock:
            if not self._under_way:
                return ""
            index = min(self._under_way)
            doing = "Localizing" if self._under_way[index].share > 0 else "Filtering"
            return f"{doing} block {index + 1} of {self._n_blocks}"

    def rate_hz(self) -> float | None:
        """Volumes per second in this run, including filtering; None before it is known."""
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
        """Estimated time until all frames are localized; None before it is known."""
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
        """Speed and time left in words; empty before they are known."""
        rate, left = self.rate_hz(), self.seconds_left(n_all)
        if rate is None or left is None:
            return ""
        speed = f"{rate:,.{0 if rate >= 10 else 1}f} volumes/s"
        return f"{speed}, about {time_text(left)} left" if self.frames < n_all else speed


def time_text(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = -int(-seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
