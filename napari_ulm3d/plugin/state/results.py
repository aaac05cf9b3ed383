"""The result of a run: tables, maps, and provenance."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.methods.networks import networks_with
from napari_ulm3d.edits import Edit
from napari_ulm3d.errors import ResultsError

if TYPE_CHECKING:
    from napari_ulm3d.maps import Resolution
    from napari_ulm3d.pipeline import BlockFailed, RunReport
    from napari_ulm3d.tables import Localizations, Tracks
    from napari_ulm3d.volumes import VesselMap

__all__ = ["WHOLE_SERIES", "Result"]

WHOLE_SERIES = "whole series"


@dataclass(frozen=True)
class Result:
    """Localizations and tracks of a frame, a block or a whole series.

    Attributes
    ----------
    scope
        The part localized, in words: "frame 12", "block 3", "whole series".
    complete
        False if it was stopped early.
    failed
        Blocks that failed and were left out.
    name
        Name of the acquisition.
    frames
        First frame localized, and the one after the last; None: all frames.
    wavelength_um
        Wavelength of the acquisition if known, used for scores.
    files
        The acquisition's files.
    sequences
        Frames at which tracks end, by the value of `link.breaks`.
    trained_score
        network: minimum score of a bubble from the weights, used if the settings give none.
    chance
        Tracks by length and the number that arise by chance, as in `chance_tracks.csv`, or None.
    motion
        Displacement of the tissue, as in `motion.csv`; None if motion was not corrected.
    created
        Start of the run (ISO 8601), if the folder gives it.
    edits
        The user's edits of the tracks, in order.
    linked
        The tracks without these edits; None if there are none.
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
    scope: str = WHOLE_SERIES
    complete: bool = True
    failed: tuple[BlockFailed, ...] = ()
    name: str = ""
    frames: tuple[int, int] | None = None
    wavelength_um: float | None = None
    files: tuple[str, ...] = ()
    sequences: dict[str, tuple[int, ...]] = field(default_factory=dict)
    trained_score: float | None = None
    created: str = ""
    edits: tuple[Edit, ...] = ()
    linked: Tracks | None = None
    chance: Any = None
    motion: Any = None

    @property
    def is_series(self) -> bool:
        """Whether it covers a whole series, or the finished part of one."""
        return self.scope == WHOLE_SERIES

    @property
    def title(self) -> str:
        """The scope, whether it is complete, and what failed."""
        parts = [self.scope]
        if not self.complete:
            parts.append("stopped early")
        if self.failed:
            n = len(self.failed)
            parts.append(f"{n} block{'s' if n > 1 else ''} failed")
        return ", ".join(parts)

    def prepared(self, facts: dict[str, Any]) -> Result:
        """Add what the run found before the first block (`RunPrepared.facts`, `run.toml`)."""
        score = facts.get("weights", {}).get("localizer", {}).get("min_score")
        sequences = facts.get("sequences", {})
        return replace(
            self,
            sequences={kind: tuple(map(int, frames)) for kind, frames in sequences.items()},
            trained_score=None if score is None else float(score),
        )

    def breaks(self, kind: str) -> list[int]:
        """Frames at which tracks end for this `link.breaks`, always including failed blocks."""
        failed = (block.first_frame for block in self.failed)
        return sorted({*self.sequences.get(kind, ()), *failed})

    def least_score(self, config: PipelineConfig) -> float | None:
        """Minimum score of its bubbles by these settings; None if no network scored them.

        Refined bubbles carry the score of the fit, to which `network.min_score` does not apply.
        """
        by_network = self.config.localize.localizer in networks_with("min_score")
        if not by_network or self.config.localize.refine != "none":
            return None
        asked = config.network.min_score
        return self.trained_score if asked is None else asked

    @property
    def n_frames(self) -> int:
        """Number of frames that were localized."""
        if self.frames is not None:
            return self.frames[1] - self.frames[0]
        return max(round(self.duration_s * self.rate_hz), 1)

    @property
    def keeps_edits(self) -> bool:
        """Whether edits of the tracks go to its folder: a whole series, not the included sample."""
        from napari_ulm3d.simulate.sample_map import sample_map_path

        if self.folder is None or not (self.complete and self.is_series):
            return False
        try:
            included = self.folder.resolve() == sample_map_path().resolve()
        except ResultsError:  # not included in this installation
            included = False
        return not included and os.access(self.folder, os.W_OK)

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, for display."""
        rows = [
            ("localized", self.title),
            ("localizations", f"{len(self.localizations):,}"),
            ("tracks", f"{self.tracks.n_tracks:,} ({len(self.tracks):,} points)"),
        ]
        if self.resolution is not None:
            rows.append(("resolution (FSC, 1/2 bit)", self.resolution.text))
        if self.saturation is not None:
            share = float(self.saturation["share_of_grid"].iloc[-1])
            rows.append(("saturation", f"{100 * share:.2f} % of the map's voxels"))
        for block in self.failed:
            last = block.first_frame + block.n_frames - 1
            rows.append((f"failed: frames {block.first_frame} to {last}", block.reason))
        return rows
