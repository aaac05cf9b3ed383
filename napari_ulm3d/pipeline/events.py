"""Events during a run, and its report at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.link import ChanceTracks
from napari_ulm3d.maps import Forecast, Resolution, resolution_text
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

if TYPE_CHECKING:
    from napari_ulm3d.config import PipelineConfig
    from napari_ulm3d.pipeline.plan import BlockPlan

__all__ = [
    "BlockFailed",
    "BlockFinished",
    "BlockProgress",
    "ClusterReady",
    "Event",
    "MapsFinished",
    "Noted",
    "RunFinished",
    "RunPrepared",
    "RunReport",
    "StageStarted",
]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `name` is for display."""

    name: str


@dataclass(frozen=True)
class RunPrepared:
    """Results of the calibration before the first block.

    Attributes
    ----------
    facts
        For `run.toml`: settings with the block length, the PSF, the weights of each network with
        their hash, and the frames at which tracks would end for each choice of `link.breaks`.
    notes
        The same as text, for the log.
    """

    facts: dict[str, Any]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, plan: BlockPlan, config: PipelineConfig, sequences: dict[str, list[int]]
    ) -> RunPrepared:
        """From the plan, the settings that reproduce it, and the first frames of sequences."""
        psf, weights = plan.psf, plan.weights
        widths = " x ".join(f"{width:.2f}" for width in psf.fwhm_voxels)
        patch = " x ".join(str(n) for n in psf.shape)
        notes = [] if plan.calibration is None else plan.calibration.lines()
        notes.append(f"PSF: {psf.source}; {widths} voxels of the working grid, patch {patch}")
        for used in weights:
            notes.append(f"weights of the {used.role}: {used.path} ({used.card.architecture})")
            notes += used.card.notes
        facts: dict[str, Any] = {
            "config": config.to_dict(),
            "psf": {
                "source": psf.source,
                "fwhm_voxels": list(psf.fwhm_voxels),
                "patch_voxels": list(psf.shape),
                "carrier_rad": psf.carrier_rad,
            },
        }
        if plan.calibration is not None:
            facts["calibration"] = plan.calibration.facts()
        facts["sequences"] = {kind: frames for kind, frames in sequences.items() if frames}
        if weights:
            facts["weights"] = {used.role: used.facts() for used in weights}
        return cls(facts, tuple(notes))


@dataclass(frozen=True)
class BlockFinished:
    """A block has been localized and linked.

    Attributes
    ----------
    index, n_blocks
        Index of the block, and number of blocks.
    first_frame, n_frames
        Its frames.
    result
        Its localizations and power Doppler.
    tracks
        Tracks that ended by its last frame and were not in an earlier event.
    reused
        Whether an earlier run finished it.
    seconds
        Wall-clock time.
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
class BlockFailed:
    """A block failed twice; the run continues without it.

    Its frames yield no localizations, and tracks end before them.

    Attributes
    ----------
    index, n_blocks
        Index of the block, and number of blocks.
    first_frame, n_frames
        Its frames.
    name
        Its file and frames, for display.
    reason
        The error, one sentence.
    """

    index: int
    n_blocks: int
    first_frame: int
    n_frames: int
    name: str
    reason: str


@dataclass(frozen=True)
class BlockProgress:
    """Progress within a block; passed to a callback, not an `Event`.

    Attributes
    ----------
    index, n_blocks
        Index of the block, and number of blocks.
    n_frames
        Number of its frames.
    share
        Share of its frames that are localized, 0 to 1; starts again if the block is retried.
    """

    index: int
    n_blocks: int
    n_frames: int
    share: float


@dataclass(frozen=True)
class Noted:
    """A note for the user; `text` is one or two sentences."""

    text: str


@dataclass(frozen=True)
class ClusterReady:
    """The workers of a cluster are ready.

    Attributes
    ----------
    n_workers
        Current number of workers.
    dashboard
        Address of the Dask dashboard; empty if there is none.
    """

    n_workers: int
    dashboard: str


@dataclass(frozen=True)
class MapsFinished:
    """The maps of all tracks.

    Attributes
    ----------
    tracks
        The tracks still open at the last frame.
    maps
        density, speed, velocity_z, direction, power_doppler.
    saturation
        Columns time_s, voxels_reached, share_of_grid, share_of_final.
    forecast
        Extrapolation of the saturation.
    resolution
        Fourier shell correlation of two half sets; None if not requested.
    chance
        Number of tracks by length in the first localizations, and the number expected by chance.
    """

    tracks: Tracks
    maps: dict[str, VesselMap]
    saturation: Any
    resolution: Resolution | None
    chance: ChanceTracks
    forecast: Forecast


@dataclass(frozen=True)
class RunReport:
    """Summary of a run.

    Attributes
    ----------
    min_length_frames
        Minimum track length, as set or chosen automatically.
    max_speed_mm_s
        Speed limit of links, as set or chosen automatically.
    chance_share
        Share of the tracks expected by chance, from frames in random order
        (`link.chance_tracks`). None without tracks.
    axes_um
        Resolution along z, y, x, where known.
    motion_rms_um
        Rms displacement of the tissue that was corrected; None without motion correction.
    forecast
        Saturation of a longer acquisition (`maps.Forecast.rows`), by name.
    frames_left_out
        Number of frames with abrupt tissue motion that were excluded.
    verdict
        Probable cause and advice if the run found nothing, very little or mostly noise.
    network_window_frames
        Largest number of frames in a window of a network; None without a network.
    hints
        Suggestions, one sentence each.
    """

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
    failed: tuple[BlockFailed, ...] = ()
    min_length_frames: int | None = None
    chance_share: float | None = None
    axes_um: dict[str, float] = field(default_factory=dict)
    motion_rms_um: float | None = None
    frames_left_out: int = 0
    forecast: dict[str, str] = field(default_factory=dict)
    verdict: str = ""
    hints: tuple[str, ...] = ()
    network_window_frames: int | None = None
    max_speed_mm_s: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for printing."""
        per_frame = self.n_localizations / self.n_frames
        memory = (
            "unknown"
            if self.peak_memory_bytes is None
            else f"{self.peak_memory_bytes / 1e6:,.0f} MB"
        )
        fsc = resolution_text(self.resolution_um, self.n_tracks)
        if self.axes_um:
            along = (f"{name} {value:.1f}" for name, value in self.axes_um.items())
            fsc += f"; along {', '.join(along)} um"
        rows = [
            ("frames", f"{self.n_frames:,}"),
            ("localizations", f"{self.n_localizations:,} ({per_frame:.1f} per frame)"),
            ("tracks", f"{self.n_tracks:,} ({self.n_track_points:,} points)"),
            ("speed", f"{self.volumes_per_s:.0f} volumes/s ({self.seconds:.1f} s)"),
            ("peak memory", memory),
            ("resolution (FSC, 1/2 bit)", fsc),
            ("saturation", f"{100 * self.saturation:.2f} % of the map voxels"),
            *self.forecast.items(),
        ]
        if self.chance_share is not None:
            share = f"{100 * self.chance_share:.2g} % of tracks of {self.min_length_frames} frames or more"
            rows.insert(3, ("tracks by chance", share))
        if self.max_speed_mm_s is not None:
            rows.append(("speed limit of the links", f"{self.max_speed_mm_s:g} mm/s"))
        if self.network_window_frames:
            rows.append(("frames given to the network at once", f"{self.network_window_frames}"))
        if self.motion_rms_um is not None:
            left_out = f"{self.motion_rms_um:.1f} um rms; {self.frames_left_out:,} frames left out"
            rows.insert(1, ("motion of the tissue", left_out))
        if self.rejected:
            counts = ", ".join(
                f"{name} {count:,}" for name, count in self.rejected.items() if count
            )
            rows.insert(2, ("rejected", counts or "none"))
        if self.failed:
            lost = sum(block.n_frames for block in self.failed)
            rows.insert(1, ("failed blocks", f"{len(self.failed)} ({lost:,} frames skipped)"))
            rows += [(f"  block {block.index + 1}", block.reason) for block in self.failed]
        return rows

    def advised(self) -> tuple[str, ...]:
        """The verdict and hints, if any."""
        return (*((self.verdict,) if self.verdict else ()), *self.hints)

    def to_dict(self) -> dict[str, Any]:
        """Plain values without None, for `run.toml`."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        values["failed"] = list(values["failed"])
        if not values["hints"]:
            values.pop("hints")
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


@dataclass(frozen=True)
class RunFinished:
    """The end of a run."""

    report: RunReport


Event = (
    StageStarted
    | RunPrepared
    | Noted
    | ClusterReady
    | BlockFinished
    | BlockFailed
    | MapsFinished
    | RunFinished
)
