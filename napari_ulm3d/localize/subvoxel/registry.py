"""The sub-voxel localizers by name: every file in this folder that defines `NAME`."""

from __future__ import annotations

from importlib import import_module

from napari_ulm3d.config.methods.subvoxel import subvoxel_modules
from napari_ulm3d.localize.subvoxel.fits import Localizer

__all__ = ["LOCALIZERS"]

LOCALIZERS: dict[str, Localizer] = {
    name: import_module(module).LOCALIZER for name, module in subvoxel_modules().items()
}
