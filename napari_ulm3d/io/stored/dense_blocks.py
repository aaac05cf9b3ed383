"""A sparse map as dense pieces: slabs of planes, or only the non-empty blocks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.volumes import VesselMap

__all__ = ["occupied_blocks", "slabs"]

_SLAB_BYTES = 8 << 20


def slabs(map_: VesselMap) -> Iterator[NDArray[np.float32]]:
    """Iterate over the volume from the top in slabs (planes, y, x) of about 8 MB."""
    plane_bytes = 4 * map_.shape[1] * map_.shape[2]
    return map_.slabs(max(1, _SLAB_BYTES // plane_bytes))


def occupied_blocks(
    map_: VesselMap, block: tuple[int, int, int]
) -> Iterator[tuple[tuple[slice, slice, slice], NDArray[np.float32]]]:
    """Iterate over the non-empty blocks of a regular tiling: position and dense values.

    Parameters
    ----------
    map_
        The map.
    block
        Edge lengths of a block along z, y, x; blocks at the far border may be smaller.
    """
    plane = map_.shape[1] * map_.shape[2]
    # Process one layer of blocks at a time, so that temporary arrays stay small.
    for top in range(0, map_.shape[0], block[0]):
        low, high = np.searchsorted(map_.index, (top * plane, (top + block[0]) * plane))
        z, y, x = np.unravel_index(map_.index[low:high], map_.shape)
        columns = -(-map_.shape[2] // block[2])
        number = y // block[1] * columns + x // block[2]
        order = np.argsort(number, kind="stable")
        borders = np.flatnonzero(np.diff(number[order], prepend=-1, append=-1))
        for first, last in pairwise(borders):
            rows = order[first:last]
            row, column = divmod(int(number[rows[0]]), columns)
            starts = (top, row * block[1], column * block[2])
            where = tuple(
                slice(s, min(s + b, n)) for s, b, n in zip(starts, block, map_.shape, strict=True)
            )
            dense = np.zeros(tuple(s.stop - s.start for s in where), np.float32)
            dense[z[rows] - starts[0], y[rows] - starts[1], x[rows] - starts[2]] = map_.values[
                low:high
            ][rows]
            yield (where[0], where[1], where[2]), dense
