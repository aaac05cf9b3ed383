"""Studies of several animals: table of measures, comparisons of groups and times, and a page."""

from __future__ import annotations

from napari_ulm3d.studies.config import RegionConfig, ScanConfig, StudyConfig
from napari_ulm3d.studies.stage import Study, study
from napari_ulm3d.studies.statistics.comparisons import compare

__all__ = ["RegionConfig", "ScanConfig", "Study", "StudyConfig", "compare", "study"]
