"""Settings from localizations to tracks and vessel maps, and for motion correction."""

from __future__ import annotations

from typing import Literal

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["LinkConfig", "MapConfig", "MotionConfig"]


class LinkConfig(StageConfig):
    """Linking localizations into tracks."""

    max_speed_mm_s: float | None = setting(
        None,
        "Maximum bubble speed; limits how far a bubble may move between two localizations. auto: "
        "30 mm/s, or more where localizations of one bubble are farther apart than that allows.",
        "mm/s",
        gt=0,
        le=10_000,
    )
    max_gap_frames: int = setting(
        0,
        "Maximum number of consecutive frames a bubble may be missed within a track. "
        "Missing positions are interpolated linearly. Values above 2 let false links in.",
        "frames",
        ge=0,
    )
    min_length_frames: int | None = setting(
        9,
        "Shortest track kept: frames in which its bubble was localized; auto: the least from "
        "which under 5 % of the tracks arise by chance.",
        "frames",
        ge=2,
    )
    smoothing_frames: int = setting(
        5,
        "Window of the centred moving average that smooths positions; shorter at the "
        "ends of a track (1: no smoothing; even numbers are reduced by one).",
        "frames",
        ge=1,
    )
    breaks: Literal["none", "files", "blocks"] = setting(
        "none",
        "Where all tracks must end. none: nowhere, recording was continuous; files: "
        "between files, where the scanner paused; blocks: between blocks.",
    )


class MapConfig(StageConfig):
    """Accumulation of tracks into vessel maps."""

    resolution_factor: float = setting(
        10.0, "Super-resolution factor: map voxel = smallest voxel spacing / this factor.", gt=0
    )
    smoothing_um: float = setting(
        0.0,
        "Standard deviation of the Gaussian that smooths the maps (0: none). The "
        "resolution is measured before smoothing.",
        "um",
        ge=0,
    )
    fsc: bool = setting(
        True, "Measure the resolution by Fourier shell correlation of two half data sets."
    )
    local_resolution: bool = setting(
        True, "With maps.fsc: measure the resolution also from place to place, as a map."
    )
    confidence: Literal["none", "error", "interval"] = setting(
        "error",
        "How well the maps are known, by bootstrap over the tracks. error: maps of the standard "
        "error of density and speed; interval: also the bounds of their 90 % intervals.",
    )


_MOVES = {"method": ("auto", "rigid")}


class MotionConfig(StageConfig):
    """Motion of the tissue: localizations are moved back, voxels are not."""

    method: Literal["none", "auto", "rigid"] = setting(
        "none",
        "none: nothing moves; rigid: the whole volume is displaced, estimated frame by frame on "
        "the unfiltered envelope; auto: rigid where the blocks that are measured on gain by it.",
    )
    smoothing_s: float = setting(
        0.012,
        "Width (standard deviation) of the weights with which displacements are smoothed over time; "
        "0: none.",
        "s",
        ge=0,
        le=1,
        when=_MOVES,
    )
    leave_out: bool = setting(
        True,
        "Leave out localizations of frames in which the tissue jerks or does not resemble itself.",
        when=_MOVES,
    )
    across: Literal["close", "break"] = setting(
        "close",
        "Tracks at frames that are left out: close: they are gaps like others "
        "(link.max_gap_frames); break: all tracks end there.",
        when=_MOVES,
    )
