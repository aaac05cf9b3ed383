"""Overlapping regions of a volume, with weights that add up to one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError

__all__ = ["Region", "regions_of"]

_SMALLEST = 4
"""Fewest voxels from one centre to the next: smaller regions hold little but one bubble."""


@dataclass(frozen=True)
class Region:
    """A box of voxels, and how much each of them counts.

    Attributes
    ----------
    where
        Slices along z, y, x.
    weight
        (z, y, x) float32, 1 at the centre and falling to 0 where the next region's is 1.
    """

    where: tuple[slice, slice, slice]
    weight: NDArray[np.float32]


def regions_of(shape: tuple[int, int, int], counts: tuple[int, int, int]) -> list[Region]:
    """Divide a volume into regions that overlap by a half with each neighbour.

    Parameters
    ----------
    shape
        Voxels along z, y, x.
    counts
        Regions along z, y, x; an axis of one voxel is not divided.

    Returns
    -------
    The regions. In every voxel their weights, products of squared cosines, add up to one.

    Raises
    ------
    ConfigError
        The centres of neighbouring regions would be fewer than four voxels apart.
    """
    axes = [_along(n, 1 if n == 1 else count) for n, count in zip(shape, counts, strict=True)]
    return [
        Region((z, y, x), (wz[:, None, None] * wy[:, None] * wx).astype(np.float32))
        for z, wz in axes[0]
        for y, wy in axes[1]
        for x, wx in axes[2]
    ]


def _along(n: int, count: int) -> list[tuple[slice, NDArray[np.float64]]]:
    if count > 1 and n < _SMALLEST * count:
        raise ConfigError(
            f"clutter.regions divides an axis of {n} voxels into {count}, so that fewer than "
            f"{_SMALLEST} voxels are left to each. Give at most {max(n // _SMALLEST, 1)} along this axis."
        )
    step = n / count
    at = np.arange(n)
    parts = []
    for k in range(count):
        distance = (at - ((k + 0.5) * step - 0.5)) / step
        # Beyond the centres of the outermost regions, they are alone.
        if k == 0:
            distance = np.maximum(distance, 0)
        if k == count - 1:
            distance = np.minimum(distance, 0)
        weight = np.cos(0.5 * np.pi * np.clip(distance, -1, 1)) ** 2
        inside = np.flatnonzero(np.abs(distance) < 1)
        where = slice(int(inside[0]), int(inside[-1]) + 1)
        parts.append((where, weight[where]))
    return parts
