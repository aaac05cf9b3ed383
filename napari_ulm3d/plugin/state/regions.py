"""Regions of space from shapes drawn in a plane and extruded perpendicular to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate.region import Region

__all__ = ["inside_any", "regions_of"]

_ELLIPSE_CORNERS = 48


def inside_any(regions: Sequence[Region], positions_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the positions (n, 3) that lie in at least one region."""
    inside = np.zeros(len(positions_um), bool)
    for region in regions:
        inside |= region.contains(positions_um)
    return inside


def regions_of(layer: Any, slab_um: float | None = None) -> tuple[Region, ...]:
    """The areas of a Shapes layer, each extruded perpendicular to its plane.

    Parameters
    ----------
    layer
        Shapes with three axes or more, the last three being z, y, x in um. Lines and
        paths enclose nothing and are left out, as are shapes without area.
    slab_um
        Thickness of the extrusion, centred on the drawn plane; None: the whole depth.
    """
    regions = []
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
        with suppress(ConfigError):  # no area: nothing lies within
            regions.append(Region(axis, plane, (at - half, at + half)))
    return tuple(regions)


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ellipse inscribed in a rectangle of four corners, as a polygon."""
    centre = box.mean(axis=0)
    first, second = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * first + np.sin(angle) * second)
