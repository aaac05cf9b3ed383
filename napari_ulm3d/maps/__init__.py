"""Vessel maps from tracks: accumulation, saturation, resolution."""

from __future__ import annotations

from napari_ulm3d.maps.accumulator import MapAccumulator, accumulate
from napari_ulm3d.maps.resolution import Resolution, resolution
from napari_ulm3d.maps.saturation import saturation, saturation_curve

__all__ = [
    "MapAccumulator",
    "Resolution",
    "accumulate",
    "resolution",
    "saturation",
    "saturation_curve",
]
