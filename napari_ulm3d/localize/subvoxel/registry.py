"""The localizers by name: a new one is a file and a line here (and its name in the config)."""

from __future__ import annotations

from napari_ulm3d.localize.subvoxel.centroid import centroid
from napari_ulm3d.localize.subvoxel.fits import Localizer
from napari_ulm3d.localize.subvoxel.gaussian import gaussian
from napari_ulm3d.localize.subvoxel.parabolic import parabolic
from napari_ulm3d.localize.subvoxel.radial import radial

__all__ = ["LOCALIZERS"]

LOCALIZERS: dict[str, Localizer] = {
    "gaussian": gaussian,
    "radial": radial,
    "centroid": centroid,
    "parabolic": parabolic,
}
