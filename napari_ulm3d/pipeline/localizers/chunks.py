"""Frames a few at a time: correlated while they are in the processor's cache, and stoppable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import Psf, correlation_map

__all__ = ["correlated_chunks"]

# Small enough to stay in the processor's cache and to hear a stop soon, large enough to feed all
# threads.
_CHUNK_BYTES = 8 << 20


def correlated_chunks(
    frames: NDArray[Any], psf: Psf, stop: Callable[[], bool]
) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Correlation maps of frames, some at a time: the map of all is never held.

    Yields
    ------
    Range of the frames, and their correlation map.

    Raises
    ------
    Cancelled
        `stop` said so between two chunks.
    """
    size = max(1, _CHUNK_BYTES // max(int(np.prod(frames.shape[1:])) * frames.itemsize, 1))
    for start in range(0, len(frames), size):
        if stop():
            raise Cancelled("The run was cancelled; finished blocks are kept.")
        end = min(start + size, len(frames))
        yield start, end, correlation_map(frames[start:end], psf)
