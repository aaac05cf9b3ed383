"""What a run tells while it goes on, and its short report at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.maps import Resolution
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = [
    "BlockFinished",
    "Event",
    "MapsFinished",
    "RunFinished",
    "RunReport",
    "StageStarted",
]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `name` is for people."""

    name: str


@dataclass(frozen=True)
class BlockFinished:
    """A block went through localization and linking.

    Attributes
    ----------
    index, n_blocks
        Which block, of how many.
    first_frame, n_frames
        The frames it holds.
    result
        Its localizations and power Doppler.
    tracks
        Tracks that ended by its last frame and were not told before.
    reused
        Whether it was finished by an earlier run.
    seconds
        Wall-clock time that it took.
    """

    index: int
    n_blocks: int
    first_frame: int
    n_frames: int
    result: BlockResult
    tracks: Tracks
    reused: bool
    seconds: float


@dataclass(frozen=True)
class MapsFinished:
    """The maps of all tracks.

    Attributes
    ----------
    tracks
        The tracks that were still open at the last frame.
    maps
        density, speed, velocity_z, direction, power_doppler.
    saturation
        Columns time_s, voxels_reached, share_of_grid, share_of_final.
    resolution
        Fourier shell correlation of two half sets; None when it was not asked for.
    """

    tracks: Tracks
    maps: dict[str, VesselMap]
    saturation: Any
    resolution: Resolution | None


@dataclass(frozen=True)
class RunReport:
    """A run in a few numbers."""

    n_frames: int
    n_localizations: int
    n_tracks: int
    n_track_points: int
    seconds: float
    volumes_per_s: float
    peak_memory_bytes: int | None
    resolution_um: float | None
    saturation: float
    rejected: dict[str, int]

    def rows(self) -> list[tuple[str, str]]:
        """Name and value, for printing."""
        per_frame = self.n_localizations / self.n_frames
        memory = (
            "unknown"
            if self.peak_memory_bytes is None
            else f"{self.peak_memory_bytes / 1e6:,.0f} MB"
        )
        fsc = "not measured" if self.resolution_um is None else f"{self.resolution_um:.1f} um"
        rows = [
            ("frames", f"{self.n_frames:,}"),
            ("localizations", f"{self.n_localizations:,} ({per_frame:.1f} a frame)"),
            ("tracks", f"{self.n_tracks:,} ({self.n_track_points:,} points)"),
            ("speed", f"{self.volumes_per_s:.0f} volumes/s ({self.seconds:.1f} s)"),
            ("peak memory", memory),
            ("resolution (FSC, 1/2 bit)", fsc),
            ("saturation", f"{100 * self.saturation:.2f} % of the map's voxels"),
        ]
        if self.rejected:
            counts = ", ".join(
                f"{name} {count:,}" for name, count in self.rejected.items() if count
            )
            rows.insert(2, ("rejected", counts or "none"))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values without None, for `run.toml`."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class RunFinished:
    """The end of a run."""

    report: RunReport


Event = StageStarted | BlockFinished | MapsFinished | RunFinished
