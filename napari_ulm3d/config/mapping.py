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
        "30 mm/s, or more if localizations of the same bubble are farther apart than this allows.",
        "mm/s",
        gt=0,
        le=10_000,
    )
    prediction: Literal["auto", "none"] = setting(
        "auto",
        "How to choose between possible links. auto: the motion and the localization errors of bubbles are "
        "learned from the localizations; each track predicts its next position and ends if no localization "
        "is likely there. none: as many and as short links as possible, as in PALA and Open-3DULM.",
    )
    max_gap_frames: int = setting(
        0,
        "Maximum number of consecutive frames a bubble may be missed within a track. "
        "Missing positions are interpolated linearly. Values above 2 add false links.",
        "frames",
        ge=0,
    )
    min_length_frames: int | None = setting(
        9,
        "Minimum number of frames in which the bubble of a track is localized; auto: the smallest "
        "for which less than 5 % of the tracks are expected by chance.",
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
    smoothing_distance_um: float | None = setting(
        None,
        "Smooth positions over this distance along the track instead (standard deviation of the weights "
        "of a local parabola), so that slow bubbles are averaged over more frames than fast ones. At "
        "rates of several hundred Hz, about a quarter of the wavelength. auto: the average over smoothing_frames.",
        "um",
        gt=0,
        le=1_000,
    )
    breaks: Literal["none", "files", "blocks"] = setting(
        "none",
        "Where all tracks must end. none: nowhere (continuous recording); files: "
        "between files (the scanner paused); blocks: between blocks.",
    )

    @property
    def averaged_frames(self) -> int:
        """Window of the moving average that has smoothed the tracks; 1 with another smoothing."""
        return 1 if self.smoothing_distance_um is not None else self.smoothing_frames


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
        True, "With maps.fsc: also measure the local resolution, as a map."
    )
    confidence: Literal["none", "error", "interval"] = setting(
        "error",
        "Uncertainty of the maps, by bootstrap over the tracks. error: maps of the standard "
        "error of density and speed; interval: also the bounds of their 90 % intervals.",
    )


_MOVES = {"method": ("auto", "rigid", "deformable")}


class MotionConfig(StageConfig):
    """Correction of tissue motion: localizations are moved back, voxels are not."""

    method: Literal["none", "auto", "rigid", "deformable"] = setting(
        "none",
        "none: no correction; rigid: displacement of the whole volume, estimated frame by frame on "
        "the unfiltered envelope; deformable: in addition a smooth deformation (B-splines with up to "
        "four control points along each axis); auto: what improves the calibration blocks.",
    )
    smoothing_s: float = setting(
        0.012,
        "Standard deviation of the weights for smoothing displacements over time; 0: no smoothing.",
        "s",
        ge=0,
        le=1,
        when=_MOVES,
    )
    leave_out: bool = setting(
        True,
        "Exclude frames with abrupt tissue motion or low correlation with the reference.",
        when=_MOVES,
    )
    across: Literal["close", "break"] = setting(
        "close",
        "Tracks at excluded frames. close: treat them like other gaps "
        "(link.max_gap_frames); break: end all tracks there.",
        when=_MOVES,
    )
