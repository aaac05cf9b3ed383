"""Read the frames of a block while the block before it is processed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Block
from napari_ulm3d.frame_sources import FrameSource
from napari_ulm3d.system.machine import free_memory

__all__ = ["read_ahead"]

T = TypeVar("T")

# Blocks that must fit into free memory: the one in work takes 2.2 times its size
# (`pipeline.memory`), and one more is being read.
_BLOCKS_FREE = 4.0


def read_ahead(
    items: Iterable[T], block_of: Callable[[T], Block | None]
) -> Iterator[tuple[T, Block | None]]:
    """Yield items with their blocks, of which the next one is read in the meantime.

    Parameters
    ----------
    items
        Taken one in advance.
    block_of
        The block of an item whose frames will be read; None if they will not.

    Yields
    ------
    tuple
        The item, and its block with frames that are read in a thread of their own. Reading it a
        second time goes to its source; an error of the source is raised by `Block.read`.
    """
    reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")

    def started(item: T) -> tuple[T, Block | None]:
        block = block_of(item)
        if block is None or _BLOCKS_FREE * _size(block) > free_memory():
            return item, block
        source = block.source
        future = reader.submit(source.read, block.start, block.stop)
        return item, replace(block, source=_ReadOnce(source, future, block))

    try:
        waiting: tuple[T, Block | None] | None = None
        for item in items:
            following = started(item)
            if waiting is not None:
                yield waiting
            waiting = following
        if waiting is not None:
            yield waiting
    finally:
        # Whoever cancels does not wait for a read that nobody needs.
        reader.shutdown(wait=False, cancel_futures=True)


def _size(block: Block) -> int:
    return block.n_frames * prod(block.source.shape[1:]) * block.source.dtype.itemsize


class _ReadOnce:
    """A source of which one range is being read; everything else goes to the source itself."""

    def __init__(self, source: FrameSource, future: Future[NDArray[Any]], block: Block) -> None:
        self._source, self._range = source, (block.start, block.stop)
        self._future: Future[NDArray[Any]] | None = future

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._source.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        # Once only: the array is filtered in place, and must not be held here either.
        future, self._future = self._future, None
        if future is None or (start, stop) != self._range:
            return self._source.read(start, stop)
        return future.result()
