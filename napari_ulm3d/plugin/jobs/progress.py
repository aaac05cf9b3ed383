"""How far work has come, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_ulm3d.pipeline import BlockFailed
from napari_ulm3d.pipeline.progress import time_text

__all__ = ["Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    share
        0 to 1; None while that is not known.
    layers
        Layers to show now, grown since the last.
    failed
        Blocks that could not be worked on so far; the run goes on without them.
    note
        What is to be said once, as rich text: who works on the blocks, what was changed.
    pace
        Speed and time left in words, where the run knows better than the clock of the widget.
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
        """The progress in words, with the speed and the time left."""
        n = len(self.failed)
        failed = f"\n{n} block{'s' if n > 1 else ''} failed and skipped" if n else ""
        if not self.n_frames or not self.share:
            return f"{self.stage}…{failed}"
        rate = self.n_frames / max(seconds, 1e-9)
        left = seconds * (1 - self.share) / self.share
        pace = self.pace or f"{rate:,.0f} volumes/s, about {time_text(left)} left"
        return f"{self.stage}: {self.n_frames:,} of {self.n_all:,} frames, {pace}{failed}"
