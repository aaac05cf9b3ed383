"""How bubbles are found: conventional localizers and networks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from napari_ulm3d.config.base import OddTriple, PositiveTriple, StageConfig, setting

__all__ = ["LocalizeConfig", "Localizer", "NetworkConfig"]

Localizer = Literal["gaussian", "radial", "centroid", "parabolic", "network", "trajectory"]


class LocalizeConfig(StageConfig):
    """Finding bubbles and their centres below the voxel."""

    localizer: Localizer = setting(
        "gaussian",
        "How the sub-voxel position is found. network: BubbleNet on the voxels kept; "
        "trajectory: the network of Rauby et al., which draws a map and no localizations.",
    )
    min_snr_db: float = setting(
        9.0, "Least local contrast of a bubble over its surroundings.", "dB"
    )
    min_correlation: float = setting(
        0.0, "Least correlation with the PSF, in magnitude.", ge=0, le=1
    )
    max_bubbles: int = setting(900, "At most this many bubbles a frame, the strongest.", ge=1)
    patch_voxels: OddTriple = setting((7, 7, 7), "Patch about a maximum, z, y, x (odd).", "voxels")
    max_maxima: int | None = setting(
        None,
        "Reject maxima whose patch holds more maxima than this, itself counted (PALA: 3); none: keep all.",
        ge=1,
    )
    max_shift_voxels: float = setting(
        1.5,
        "Reject positions further than this from their maximum, along any axis.",
        "voxels",
        gt=0,
    )
    fwhm_voxels: PositiveTriple | None = setting(
        None,
        "gaussian, radial: full width at half maximum of a bubble, z, y, x; none: measured in each frame.",
        "voxels",
    )
    min_fit_snr_db: float = setting(
        16.0,
        "gaussian: least energy of a fitted bubble over the power of the residual about it.",
        "dB",
    )
    rounds: int = setting(
        2,
        "gaussian: how often maxima are sought; after the first, in what the fitted bubbles leave over.",
        ge=1,
        le=5,
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        return self


class NetworkConfig(StageConfig):
    """How networks are run (localizer network or trajectory), and which bubbles are kept."""

    weights: str | None = setting(
        None,
        "Weights of the network, a .safetensors file or the name of shipped ones; none: those "
        "shipped for the localizer.",
    )
    min_score: float | None = setting(
        None,
        "network: least probability that a bubble is as close as hit_fraction says; none: as "
        "chosen on the validation scenes when the network was trained.",
        ge=0,
        le=1,
    )
    hit_fraction: float = setting(
        0.25, "network: how close a bubble must be to count for the score.", "wavelengths", gt=0
    )
    candidate_score: float = setting(
        0.03, "network: voxels of a lower probability are not looked at.", gt=0, le=1
    )
    merge_fwhm: float = setting(
        0.3, "network: predictions closer than this are one bubble.", "widths of the PSF", gt=0
    )
    views: Literal[1, 2, 4, 8] = setting(
        2,
        "network: mirror images of a window whose predictions are averaged; each takes the time "
        "of one.",
    )
    window_frames: int = setting(
        32, "network: frames given to the network at once, at most.", "frames", ge=1
    )
    margin_frames: int = setting(
        4, "network: frames at a window's ends that are predicted by the next one.", "frames", ge=0
    )
    trajectory_score: float = setting(
        0.5, "trajectory: probability above which a trajectory crosses a voxel.", gt=0, lt=1
    )
    precision: Literal["auto", "full", "half"] = setting(
        "auto",
        "Numbers of 32 bits (full, which is auto's choice), or of 16 in the convolutions (half, "
        "CUDA alone: less memory).",
    )
    memory_gb: float | None = setting(
        None, "Memory for the network: windows are made to fit; none: what is free.", "GB", gt=0
    )

    @model_validator(mode="after")
    def _window_left(self) -> Self:
        if self.window_frames <= 2 * self.margin_frames:
            raise ValueError(
                f"window_frames {self.window_frames} must exceed twice margin_frames "
                f"{self.margin_frames}"
            )
        return self
