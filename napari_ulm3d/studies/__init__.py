"""Several animals: one table of measures, groups and time points compared, one page."""

from __future__ import annotations

from napari_ulm3d.studies.config import RegionConfig, ScanConfig, StudyConfig
from napari_ulm3d.studies.stage import Study, study
from napari_ulm3d.studies.statistics.comparisons import compare

__all__ = ["RegionConfig", "ScanConfig", "Study", "StudyConfig", "compare", "study"]
