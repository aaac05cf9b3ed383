"""Vessel networks, grown or read from files."""

from __future__ import annotations

from napari_ulm3d.simulate.vasculature.boundary import BoundaryConditions
from napari_ulm3d.simulate.vasculature.branches import smoothed
from napari_ulm3d.simulate.vasculature.config import VasculatureConfig
from napari_ulm3d.simulate.vasculature.network import VesselNetwork
from napari_ulm3d.simulate.vasculature.procedural import procedural_network
from napari_ulm3d.simulate.vasculature.secomb import read_secomb
from napari_ulm3d.simulate.vasculature.swc import read_swc
from napari_ulm3d.simulate.vasculature.tables import read_network_tables

__all__ = [
    "BoundaryConditions",
    "VasculatureConfig",
    "VesselNetwork",
    "procedural_network",
    "read_network_tables",
    "read_secomb",
    "read_swc",
    "smoothed",
]
