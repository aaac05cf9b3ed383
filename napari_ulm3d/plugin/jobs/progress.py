"""The progress of a run in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_ulm3d.pipeline import BlockFailed
from napari_ulm3d.pipeline.progress import time_text

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes
    ----------
    share
        0 to 1; None while unknown.
    layers
        Layers to show now, updated since the last report.
    failed
        Number of blocks that failed so far; the run continues without them.
    note
        A message to show once, as rich text: the workers, or settings that were changed.
    pace
        Speed and time left in words, where the run's own estimate is better than the widget's.
    """

    stage: str
    share: float | None = None
    n_frames: int = 0
    n_all: int = 0
    layers: tuple[Any, ...] = ()
    failed: tuple[BlockFailed, ...] = ()
    note: str = ""
    pace: str = ""

    def text(self, seconds: float) -> str:
        """The progress in words, with speed and time left."""
        n = len(self.failed)
        failed = f"\n{n} block{'s' if n > 1 else ''} failed and skipped" if n else ""
        if not self.n_frames or not self.share:
            return f"{self.stage}…{failed}"
        rate = self.n_frames / max(seconds, 1e-9)
        left = seconds * (1 - self.share) / self.share
        pace = self.pace or f"{rate:,.0f} volumes/s, about {time_text(left)} left"
        return f"{self.stage}: {self.n_frames:,} of {self.n_all:,} frames, {pace}{failed}"
