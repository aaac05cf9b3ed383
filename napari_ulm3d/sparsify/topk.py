"""Keep the k strongest voxels of a block from a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify.collect import Collector, power, shape_of

__all__ = ["sparsify_topk"]


def sparsify_topk(
    chunks: Iterable[NDArray[Any]], config: SparsifyConfig, first_frame: int = 0
) -> SparseFrames:
    """Keep the `config.top_k` voxels with the largest |c|^2 over all chunks.

    Among equal voxels, the earlier in the order t, z, y, x is kept, so the result does not
    depend on the division into chunks. Zero voxels are never kept, so there can
    be fewer than `top_k`. Memory: the kept voxels and one chunk; the weakest voxel kept
    so far is the threshold for later chunks.

    Parameters
    ----------
    chunks
        Consecutive frames of the correlation map, each (t, z, y, x) complex or real.
    config
        `top_k`, over the whole block.
    first_frame
        Number of the first frame in the whole acquisition.
    """
    limit = config.top_k
    index = np.empty(0, np.int64)
    values = np.empty(0, np.complex64)
    powers = np.empty(0, np.float32)
    bar = np.float32(0)
    grid: tuple[int, int, int] | None = None
    n_frames = 0
    for chunk in chunks:
        grid = shape_of(chunk, grid)
        strength = power(chunk).reshape(-1)
        better = np.flatnonzero(strength > bar)
        index = np.concatenate([index, better + n_frames * int(np.prod(grid))])
        values = np.concatenate([values, chunk.reshape(-1)[better].astype(np.complex64)])
        powers = np.concatenate([powers, strength[better]])
        n_frames += len(chunk)
        if index.size > limit:
            chosen = _strongest(powers, limit)
            index, values, powers = index[chosen], values[chosen], powers[chosen]
        if index.size == limit:
            bar = powers.min()
    if grid is None:
        raise ValueError("sparsification needs at least one chunk of frames")
    return Collector(first_frame, n_frames, grid, [index], [values]).result()


def _strongest(powers: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Ascending positions of the `count` largest values; among equal ones, the first."""
    cut = np.partition(powers, powers.size - count)[powers.size - count]
    above = np.flatnonzero(powers > cut)
    ties = np.flatnonzero(powers == cut)[: count - above.size]
    return np.sort(np.concatenate([above, ties]))
