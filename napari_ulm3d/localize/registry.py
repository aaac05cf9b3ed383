"""The localizers by name: a new one is a file and a line here (and its name in the config)."""

from __future__ import annotations

from napari_ulm3d.localize.centroid import centroid
from napari_ulm3d.localize.fits import Localizer
from napari_ulm3d.localize.gaussian import gaussian
from napari_ulm3d.localize.parabolic import parabolic
from napari_ulm3d.localize.radial import radial

__all__ = ["LOCALIZERS"]

LOCALIZERS: dict[str, Localizer] = {
    "gaussian": gaussian,
    "radial": radial,
    "centroid": centroid,
    "parabolic": parabolic,
}
