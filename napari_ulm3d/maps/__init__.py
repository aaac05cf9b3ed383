"""Vessel maps from tracks: accumulation, saturation and resolution."""

from __future__ import annotations

from napari_ulm3d.maps.accumulator import MapAccumulator, accumulate
from napari_ulm3d.maps.confidence import confidence_rows, intervals
from napari_ulm3d.maps.disk_spill import MemoryBound
from napari_ulm3d.maps.forecast import Forecast, forecast_saturation
from napari_ulm3d.maps.kept import density_maps, kept_maps
from napari_ulm3d.maps.local_resolution import local_resolution
from napari_ulm3d.maps.of_tracks import MapsOfTracks, maps_of_tracks, never
from napari_ulm3d.maps.resolution import resolution
from napari_ulm3d.maps.resolution_curve import Resolution, resolution_text
from napari_ulm3d.maps.saturation import saturation, saturation_curve
from napari_ulm3d.maps.smoothing import smooth_counts, smooth_maps, smooth_means

__all__ = [
    "Forecast",
    "MapAccumulator",
    "MapsOfTracks",
    "MemoryBound",
    "Resolution",
    "accumulate",
    "confidence_rows",
    "density_maps",
    "forecast_saturation",
    "intervals",
    "kept_maps",
    "local_resolution",
    "maps_of_tracks",
    "never",
    "resolution",
    "resolution_text",
    "saturation",
    "saturation_curve",
    "smooth_counts",
    "smooth_maps",
    "smooth_means",
]
