"""The clutter filter region by region."""

from __future__ import annotations

from napari_ulm3d.filtering.regions.filter import svd_filter_by_regions
from napari_ulm3d.filtering.regions.layout import Region, regions_of

__all__ = ["Region", "regions_of", "svd_filter_by_regions"]
