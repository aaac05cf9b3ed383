"""What a run in the viewer left: tables, maps, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.maps import Resolution
from napari_ulm3d.pipeline import RunReport
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """Localizations and tracks of a frame, a block or a whole series.

    Attributes
    ----------
    scope
        What was localized, in words: "frame 12", "block 3", "whole series".
    complete
        False when it was stopped before its end.
    """

    grid: Grid
    rate_hz: float
    duration_s: float
    config: PipelineConfig
    localizations: Localizations
    tracks: Tracks
    maps: dict[str, VesselMap] = field(default_factory=dict)
    saturation: Any = None
    resolution: Resolution | None = None
    report: RunReport | None = None
    folder: Path | None = None
    scope: str = "whole series"
    complete: bool = True

    @property
    def title(self) -> str:
        """The scope, and whether it is all of it."""
        return self.scope if self.complete else f"{self.scope}, stopped early"

    def rows(self) -> list[tuple[str, str]]:
        """Name and value, for people."""
        rows = [
            ("localized", self.title),
            ("localizations", f"{len(self.localizations):,}"),
            ("tracks", f"{self.tracks.n_tracks:,} ({len(self.tracks):,} points)"),
        ]
        if self.resolution is not None and np.isfinite(self.resolution.resolution_um):
            rows.append(("resolution (FSC, 1/2 bit)", f"{self.resolution.resolution_um:.1f} um"))
        if self.saturation is not None:
            share = float(self.saturation["share_of_grid"].iloc[-1])
            rows.append(("saturation", f"{100 * share:.2f} % of the map's voxels"))
        return rows
