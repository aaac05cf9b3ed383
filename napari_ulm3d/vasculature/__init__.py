"""Measure the vessels of a map: centrelines, diameters, speeds, flows and junctions."""

from __future__ import annotations

from napari_ulm3d.vasculature.graph import JUNCTION_COLUMNS, VESSEL_COLUMNS, VesselGraph
from napari_ulm3d.vasculature.reading import read_graph
from napari_ulm3d.vasculature.stage import vessels

__all__ = ["JUNCTION_COLUMNS", "VESSEL_COLUMNS", "VesselGraph", "read_graph", "vessels"]
