"""Settings for measuring vessels in a vessel map."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["VesselConfig"]


class VesselConfig(StageConfig):
    """Measuring vessels: mask, centrelines, diameter and flow."""

    smoothing_um: float | None = setting(
        None,
        "Standard deviation of the Gaussian that smooths a map before thresholding "
        "(auto: one voxel of the map; a mask or label image is not smoothed).",
        "um",
        ge=0,
    )
    threshold_low: float | None = setting(
        None,
        "Hysteresis: voxels above this belong to a vessel if they touch one above "
        "`threshold_high`, in the unit of the smoothed map (auto: from the map).",
        ge=0,
    )
    threshold_high: float | None = setting(
        None, "Hysteresis: voxels above this belong to a vessel (auto: from the map).", ge=0
    )
    min_length_um: float | None = setting(
        None,
        "Drop separate pieces with less total vessel length (auto: eight voxels of the map).",
        "um",
        ge=0,
    )
    prune_diameters: float = setting(
        1.5,
        "Drop side branches with a free end that are shorter than this multiple of the diameter "
        "at their junction.",
        "diameters",
        ge=0,
    )
    bridge_um: float | None = setting(
        None,
        "Maximum gap closed between two free ends that face each other along the flow "
        "(auto: ten voxels of the map; 0: none).",
        "um",
        ge=0,
    )
    bridge_angle_deg: float = setting(
        35.0, "Maximum angle between the end of a vessel and the gap that is closed.", "deg",
        ge=0, le=90,
    )  # fmt: skip
    localization_error_um: float | None = setting(
        None,
        "Standard deviation of a track position along each axis, corrected for in the diameters "
        "(auto: measured on the tracks).",
        "um",
        ge=0,
    )
    bubble_radius_um: float = setting(
        1.0, "Distance of a bubble's centre from the wall; added to the radius.", "um", ge=0
    )
    min_tracks: int = setting(
        5, "Vessels with fewer tracks have no diameter, speed or flow.", "tracks", ge=2
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.threshold_low, self.threshold_high
        if low is not None and high is not None and low > high:
            raise ValueError(f"threshold_low {low:g} is above threshold_high {high:g}")
        return self
