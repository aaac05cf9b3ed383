"""Regions of space: a box, or shapes drawn in a plane and extruded across it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prism", "inside_any", "prisms_of"]

_ELLIPSE_CORNERS = 48


@dataclass(frozen=True)
class Prism:
    """A polygon in the plane of two axes, extruded along the third.

    Attributes
    ----------
    axis
        The axis of extrusion: 0 for z, 1 for y, 2 for x.
    corners_um
        The polygon's corners, each along the two other axes in the order z, y, x.
    low_um, high_um
        Where the extrusion begins and ends.
    """

    axis: int
    corners_um: tuple[tuple[float, float], ...]
    low_um: float = -np.inf
    high_um: float = np.inf

    def contains(self, positions_um: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which positions (n, 3) lie inside: by the parity of the polygon's edges to one side."""
        along = positions_um[:, self.axis]
        plane = np.delete(positions_um, self.axis, axis=1)
        corners = np.asarray(self.corners_um)
        inside = (along >= self.low_um) & (along <= self.high_um)
        inside &= (plane >= corners.min(axis=0)).all(axis=1)
        inside &= (plane <= corners.max(axis=0)).all(axis=1)
        rows = np.flatnonzero(inside)
        u, v = plane[rows].T
        odd = np.zeros(rows.size, bool)
        for (u0, v0), (u1, v1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            crosses = (v0 > v) != (v1 > v)
            if crosses.any():
                at = u0 + (v[crosses] - v0) * (u1 - u0) / (v1 - v0)
                odd[crosses] ^= u[crosses] < at
        inside[rows] = odd
        return inside


def inside_any(prisms: Sequence[Prism], positions_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which positions (n, 3) lie in at least one of the prisms."""
    inside = np.zeros(len(positions_um), bool)
    for prism in prisms:
        inside |= prism.contains(positions_um)
    return inside


def prisms_of(layer: Any, slab_um: float | None = None) -> tuple[Prism, ...]:
    """The areas of a Shapes layer, each extruded across the plane that it was drawn in.

    Parameters
    ----------
    layer
        Shapes of three axes or more, of which the last three are z, y, x in um. Lines and
        paths enclose nothing and are left out.
    slab_um
        Thickness of the extrusion, half on either side of the drawn plane; None: all through.
    """
    prisms = []
    for corners, kind in zip(layer.data, layer.shape_type, strict=True):
        corners = np.asarray(corners, np.float64)
        if kind in ("line", "path") or corners.shape[1] < 3 or len(corners) < 3:
            continue
        world = np.stack([np.asarray(layer.data_to_world(corner))[-3:] for corner in corners])
        extent = np.ptp(world, axis=0)
        axis = int(np.argmin(extent))
        plane = np.delete(world, axis, axis=1)
        if kind == "ellipse":
            plane = _ellipse(plane)
        at = float(world[:, axis].mean())
        half = np.inf if slab_um is None else slab_um / 2
        prisms.append(
            Prism(axis, tuple((float(u), float(v)) for u, v in plane), at - half, at + half)
        )
    return tuple(prisms)


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ellipse in a rectangle of four corners, as a polygon."""
    centre = box.mean(axis=0)
    first, second = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * first + np.sin(angle) * second)
