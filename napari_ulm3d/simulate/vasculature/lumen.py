"""Voxels filled by vessels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["lumen_voxels"]


def lumen_voxels(network: VesselNetwork, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Find voxels whose centre lies in a lumen, or that a vessel's axis crosses.

    Parameters
    ----------
    network
        The vessels; radii in um.
    grid
        The voxels; everything outside is ignored.

    Returns
    -------
    index : (n,) int64
        C-order flat indices, ascending.
    segment : (n,) int32
        Row of the segment in whose lumen each voxel lies deepest.
    """
    deepest = np.full(grid.size, -np.inf, np.float32)
    owner = np.full(grid.size, -1, np.int32)
    nodes = network.nodes_um - np.asarray(grid.origin_um)
    _fill(
        nodes[network.segments[:, 0]],
        nodes[network.segments[:, 1]],
        network.radius_um,
        np.asarray(grid.spacing_um),
        np.asarray(grid.shape, np.int64),
        deepest,
        owner,
    )
    index = np.flatnonzero(owner >= 0)
    return index, owner[index]


@njit(cache=True, nogil=True)
def _fill(
    start: Any, stop: Any, radius: Any, spacing: Any, shape: Any, deepest: Any, owner: Any
) -> None:
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    along = np.empty(3)
    for s in range(len(radius)):
        r = radius[s]
        empty = False
        squared = 0.0
        for a in range(3):
            reach = max(r, spacing[a])
            first = min(start[s, a], stop[s, a]) - reach
            last = max(start[s, a], stop[s, a]) + reach
            low[a] = max(0, int(np.ceil(first / spacing[a])))
            high[a] = min(shape[a] - 1, int(np.floor(last / spacing[a])))
            empty = empty or low[a] > high[a]
            along[a] = stop[s, a] - start[s, a]
            squared += along[a] ** 2
        if empty:
            continue
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for k in range(low[2], high[2] + 1):
                    z, y, x = i * spacing[0], j * spacing[1], k * spacing[2]
                    dz, dy, dx = z - start[s, 0], y - start[s, 1], x - start[s, 2]
                    t = 0.0
                    if squared > 0.0:
                        t = (dz * along[0] + dy * along[1] + dx * along[2]) / squared
                        t = min(max(t, 0.0), 1.0)
                    d = np.sqrt(
                        (dz - t * along[0]) ** 2
                        + (dy - t * along[1]) ** 2
                        + (dx - t * along[2]) ** 2
                    )
                    if d > r and not _crossed(start[s], along, (z, y, x), spacing):
                        continue
                    at = (i * shape[1] + j) * shape[2] + k
                    if r - d > deepest[at]:
                        deepest[at] = r - d
                        owner[at] = s


@njit(cache=True, nogil=True)
def _crossed(start: Any, along: Any, centre: Any, spacing: Any) -> bool:
    """Whether a segment crosses a voxel (slab method)."""
    enter, leave = 0.0, 1.0
    for a in range(3):
        below = centre[a] - spacing[a] / 2 - start[a]
        above = below + spacing[a]
        if along[a] == 0.0:
            if below > 0.0 or above < 0.0:
                return False
            continue
        first, last = below / along[a], above / along[a]
        if first > last:
            first, last = last, first
        enter, leave = max(enter, first), min(leave, last)
    return enter <= leave
