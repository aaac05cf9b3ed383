"""What a run in the viewer left: tables, maps, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.methods.networks import networks_with
from napari_ulm3d.edits import Edit

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
        What was localized, in words: "frame 12", "block 3", "whole series".
    complete
        False when it was stopped before its end.
    failed
        Blocks that could not be worked on and were left out.
    name
        Of the acquisition.
    frames
        First frame that was localized and the one after the last; None: all of them.
    wavelength_um
        Of the acquisition, where known: scores are taken by it.
    files
        The acquisition's files.
    sequences
        Frames at which tracks end, by what `link.breaks` says.
    trained_score
        network: least score of a bubble where the settings name none; of the weights.
    chance
        Tracks by length and how many arise by chance, as `chance_tracks.csv`; None: not counted.
    motion
        Displacement of the tissue, as `motion.csv`; None where it was left alone.
    created
        When its run began (ISO 8601), where a folder says so.
    edits
        What a person changed about the tracks, in order.
    linked
        The tracks without these edits; None where there are none.
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
        """Whether it is of a whole series, or of what was finished of one."""
        return self.scope == WHOLE_SERIES

    @property
    def title(self) -> str:
        """The scope, whether it is all of it, and what failed."""
        parts = [self.scope]
        if not self.complete:
            parts.append("stopped early")
        if self.failed:
            n = len(self.failed)
            parts.append(f"{n} block{'s' if n > 1 else ''} failed")
        return ", ".join(parts)

    def prepared(self, facts: dict[str, Any]) -> Result:
        """With what its run found out before the first block (`RunPrepared.facts`, `run.toml`)."""
        score = facts.get("weights", {}).get("localizer", {}).get("min_score")
        sequences = facts.get("sequences", {})
        return replace(
            self,
            sequences={kind: tuple(map(int, frames)) for kind, frames in sequences.items()},
            trained_score=None if score is None else float(score),
        )

    def breaks(self, kind: str) -> list[int]:
        """Frames at which tracks end for this `link.breaks`; before failed blocks always."""
        failed = (block.first_frame for block in self.failed)
        return sorted({*self.sequences.get(kind, ()), *failed})

    def least_score(self, config: PipelineConfig) -> float | None:
        """Least score of its bubbles by these settings; None where no network scored them.

        Refined bubbles have the score of the fit, which `network.min_score` is not about.
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

    def rows(self) -> list[tuple[str, str]]:
        """Name and value, for people."""
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
