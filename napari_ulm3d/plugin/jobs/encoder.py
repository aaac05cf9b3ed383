"""Writes movie frames to a file from a separate thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EVEN", "Encoder"]

#: Video encoders need even numbers of pixels.
EVEN = 2
_MOST_WAITING = 4


class Encoder:
    """Write frames in the order in which they are added.

    As a context manager it closes the file at the end, also after an error.

    Parameters
    ----------
    path
        File; its suffix sets the format.
    fps
        Frames per second of the movie.
    """

    def __init__(self, path: Path, fps: int) -> None:
        import imageio.v2

        get_writer: Any = imageio.v2.get_writer
        options = {"duration": 1000 / fps, "loop": 0} if path.suffix == ".gif" else {
            "fps": fps, "macro_block_size": EVEN, "quality": 8,
        }  # fmt: skip
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[Any]] = deque()
        self._writer = self._thread.submit(get_writer, path, **options)

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Queue a frame for writing; returns at once."""
        self._waiting.append(self._thread.submit(self._write, frame))

    @property
    def behind(self) -> bool:
        """Whether the queue is so full that no more frames should be added now.

        Raises any error that occurred while writing.
        """
        return self.n_waiting >= _MOST_WAITING

    @property
    def n_waiting(self) -> int:
        """Number of frames not written yet; raises any error that occurred while writing."""
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        return len(self._waiting)

    def finish(self) -> Future[None]:
        """Finish the file and wait until it is complete."""
        return self._thread.submit(self._close)

    def _write(self, frame: NDArray[np.uint8]) -> None:
        self._writer.result().append_data(frame)

    def _close(self) -> None:
        self._writer.result().close()

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for one in self._waiting:
            one.cancel()
        if kind is not None and self._writer.exception() is None:
            self._thread.submit(self._close)
        self._thread.shutdown()
