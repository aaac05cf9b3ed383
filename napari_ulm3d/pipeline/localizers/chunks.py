"""Correlate frames in chunks that fit the processor's cache, with a chance to stop in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import Psf, correlation_map

__all__ = ["correlated_chunks"]

# Small enough for the processor's cache and a prompt stop, large enough for all threads.
_CHUNK_BYTES = 8 << 20


def correlated_chunks(
    frames: NDArray[Any], psf: Psf, stop: Callable[[], bool]
) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Correlation maps of frames, chunk by chunk, so that the full map is never held.

    Yields
    ------
    Range of the frames, and their correlation map.

    Raises
    ------
    Cancelled
        `stop` returned true between two chunks.
    """
    size = max(1, _CHUNK_BYTES // max(int(np.prod(frames.shape[1:])) * frames.itemsize, 1))
    for start in range(0, len(frames), size):
        if stop():
            raise Cancelled("The run was cancelled; finished blocks are kept.")
        end = min(start + size, len(frames))
        yield start, end, correlation_map(frames[start:end], psf)
