"""A skull, its two sides, and holes cut into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EDGE_MM",
    "LATERAL",
    "Hole",
    "Mask",
    "Side",
    "block_means",
    "coarser",
    "draw_holes",
    "read_skull",
    "without",
]

EDGE_MM = 0.5
#: Axis from left to right.
LATERAL = 1
# A hole must miss at least this number of voxels, so that its scores mean something.
_LEAST_MISSING = 100
_TRIES = 1000

Mask = NDArray[np.bool_]
#: First voxel and one past the last, of the part of the lateral axis from which holes are drawn.
Side = tuple[int, int]


@dataclass(frozen=True)
class Hole:
    """A ball cut out of the skull.

    Attributes
    ----------
    centre
        Voxel (3,), on the skull.
    radius
        Voxels.
    """

    centre: tuple[int, int, int]
    radius: float

    def ball(self, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], Mask]:
        """The part of the volume around the hole, and the ball in it."""
        reach = int(np.ceil(self.radius))
        where = tuple(
            slice(max(0, c - reach), min(n, c + reach + 1))
            for c, n in zip(self.centre, shape, strict=True)
        )
        at = np.ogrid[where]
        squares = sum((a - c) ** 2 for a, c in zip(at, self.centre, strict=True))
        return where, squares <= self.radius**2


def read_skull(path: Path) -> Mask:
    """(z, y, x) mask of bone."""
    with h5py.File(path) as file:
        return np.asarray(file["skull_mask"][()] > 0)


def draw_holes(
    skull: Mask, side: Side, radii: tuple[float, float], seed: int, apart: float = 0.0
) -> Iterator[Hole]:
    """Holes around random bone voxels of a side, none of which crosses its borders.

    Parameters
    ----------
    skull
        The whole skull.
    side
        Part of the lateral axis.
    radii
        Least and largest radius, voxels.
    seed
        The same seed gives the same holes.
    apart
        Least distance between the borders of two holes, voxels; 0: they may overlap.
    """
    rng = np.random.default_rng(seed)
    bone = np.flatnonzero(skull.ravel())
    drawn: list[Hole] = []
    for _ in range(_TRIES):
        radius = float(rng.uniform(*radii))
        z, y, x = (int(v) for v in np.unravel_index(bone[rng.integers(bone.size)], skull.shape))
        hole = Hole((z, y, x), radius)
        low, high = hole.centre[LATERAL] - radius, hole.centre[LATERAL] + radius
        where, ball = hole.ball(skull.shape)
        if low < side[0] or high >= side[1] or (skull[where] & ball).sum() < _LEAST_MISSING:
            continue
        if apart and any(
            np.linalg.norm(np.subtract(hole.centre, other.centre)) < radius + other.radius + apart
            for other in drawn
        ):
            continue
        drawn.append(hole)
        yield hole


def without(skull: Mask, holes: list[Hole]) -> Mask:
    """The skull with the holes cut out of it."""
    cut = skull.copy()
    for hole in holes:
        where, ball = hole.ball(skull.shape)
        cut[where] &= ~ball
    return cut


def block_means(mask: Mask, edge: int) -> NDArray[np.float32]:
    """Share of bone in each block of `edge`^3 voxels; blocks at the end are filled up with air."""
    padded = np.pad(mask, [(0, -n % edge) for n in mask.shape])
    z, y, x = (n // edge for n in padded.shape)
    return padded.reshape(z, edge, y, edge, x, edge).mean((1, 3, 5), dtype=np.float32)


def coarser(mask: Mask, edge: int) -> Mask:
    """Blocks of `edge`^3 voxels of which at least half are bone."""
    return mask if edge == 1 else block_means(mask, edge) >= 0.5
