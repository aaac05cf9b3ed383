"""Parallel inflation of deflated HDF5 chunks.

HDF5 inflates chunks one by one under a global lock, which dominates the reading time of
compressed MATLAB files. Here HDF5 only returns the raw chunks, and several threads inflate
them; zlib releases the GIL. The values are bit-identical.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.system.machine import processors

if TYPE_CHECKING:
    import h5py

__all__ = ["can_inflate", "inflate_into"]

_DEFLATE, _SHUFFLE = 1, 2
_MOST_THREADS = 8


def can_inflate(data: h5py.Dataset) -> bool:
    """Whether the chunks are only deflated (possibly after byte shuffling)."""
    if not data.chunks or data.dtype.hasobject:
        return False
    return _filters(data) in ([_DEFLATE], [_SHUFFLE, _DEFLATE])


def inflate_into(
    data: h5py.Dataset,
    out: NDArray[Any],
    axis: int,
    start: int,
    stop: int,
    convert: Callable[[NDArray[Any]], NDArray[Any]],
) -> None:
    """Fill `out` with start..stop-1 along `axis`; `convert` is applied to each chunk's values."""
    shape, chunk = data.shape, data.chunks
    shuffled = _SHUFFLE in _filters(data)
    n_bytes = data.dtype.itemsize * prod(chunk)
    ranges = [range(0, n, c) for n, c in zip(shape, chunk, strict=True)]
    ranges[axis] = range(start - start % chunk[axis], stop, chunk[axis])

    n_chunks = prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
    complete = data.id.get_num_chunks() == n_chunks

    def one(corner: tuple[int, ...]) -> None:
        if not complete and data.id.get_chunk_info_by_coord(corner).byte_offset is None:
            place(corner, np.full(chunk, data.fillvalue, data.dtype))
            return
        # h5py locks this call itself; the mask tells which filters were skipped for this chunk.
        mask, raw = data.id.read_direct_chunk(corner)
        if not mask & (2 if shuffled else 1):
            # Allow one extra byte, so that an oversized chunk is noticed.
            raw = zlib.decompressobj().decompress(raw, n_bytes + 1)
        if len(raw) != n_bytes:
            raise ValueError(f"the chunk at {corner} does not have the size of a chunk")
        if shuffled and not mask & 1:
            size = data.dtype.itemsize
            raw = np.frombuffer(raw, np.uint8).reshape(size, -1).T.tobytes()
        place(corner, np.frombuffer(raw, data.dtype).reshape(chunk))

    def place(corner: tuple[int, ...], values: NDArray[Any]) -> None:
        inside, target = [], []
        for i, (first, n, c) in enumerate(zip(corner, shape, chunk, strict=True)):
            low, high = (start, stop) if i == axis else (0, n)
            a, b = max(first, low), min(first + c, high)
            inside.append(slice(a - first, b - first))
            target.append(slice(a - low, b - low))
        out[tuple(target)] = convert(values[tuple(inside)])

    with ThreadPoolExecutor(min(processors(), _MOST_THREADS)) as pool:
        for _ in pool.map(one, product(*ranges)):
            pass  # waits for the threads and raises their exceptions


def _filters(data: h5py.Dataset) -> list[int]:
    properties = data.id.get_create_plist()
    return [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
