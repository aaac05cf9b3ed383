"""Settings of a training of the networks on whole volumes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.config import setting
from napari_ulm3d.networks.volumes.config import (
    CompletionNetConfig,
    SegmentationNetConfig,
    SuperResolutionNetConfig,
)
from napari_ulm3d.train.config import DataConfig, TrainingConfig, ValidationConfig

__all__ = [
    "CompletionTrainConfig",
    "SegmentationTrainConfig",
    "SuperResolutionTrainConfig",
    "VolumeDataConfig",
    "VolumeTrainConfig",
    "VolumeValidationConfig",
]

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Range = tuple[_Positive, _Positive]
_From0 = tuple[_NotNegative, _NotNegative]


class VolumeDataConfig(DataConfig):
    """The vessels, their simulated acquisition, and the windows cut from their maps."""

    trees: tuple[str, ...] = setting((), "Files of measured networks to train on.")
    tree_share: float = setting(
        0.5, "Share of scenes from `trees`; the others are grown.", ge=0, le=1
    )
    tree_radius: _Range = setting(
        (0.3, 0.9), "Factor on the radii of a measured network, after scaling it to `field_um`."
    )
    field_um: _Range = setting(
        (500.0, 900.0),
        "Side of the cube in which a network is grown or to which it is scaled.",
        "um",
    )
    spacing_um: _Range = setting((70.0, 160.0), "Capillary spacing of grown networks.", "um")
    positions: _Range = setting(
        (40_000.0, 240_000.0), "Bubble positions in a full acquisition (uniform in the logarithm)."
    )
    bubbles: _Range = setting((2.0, 12.0), "Mean number of bubbles in view.", "bubbles")
    rate: _Range = setting((120.0, 400.0), "Frame rate (volumes per second).", "Hz")
    max_speed: _Range = setting((8.0, 30.0), "Highest speed on a centreline.", "mm/s")
    detected: _Range = setting((0.6, 0.97), "Probability that a bubble is localized in a frame.")
    error_um: _From0 = setting((3.0, 10.0), "Standard deviation of a localization.", "um")
    false_share: _From0 = setting((0.0, 0.6), "Ratio of false localizations to bubbles, per frame.")
    slowest_mm_s: _From0 = setting(
        (0.0, 0.8), "Speed below which the clutter filter removes nine of ten bubbles.", "mm/s"
    )
    acquired: _Range = setting((0.01, 1.0), "Share of the acquisition in the input map.")
    voxel_um: _Range = setting((7.0, 14.0), "Voxel size of the input map.", "um")
    window: int = setting(64, "Side of a window of the input map.", "voxels", ge=8)
    flat_share: float = setting(
        0.2, "Share of windows that are a slab seen as a plane (2-D data).", ge=0, le=1
    )
    slab_um: _Range = setting((60.0, 250.0), "Thickness of that slab.", "um")
    upright: bool = setting(
        False, "Rotate only about the depth axis (arteries dive); otherwise about any axis."
    )
    speed_share: float = setting(0.6, "Share of windows with speeds and directions.", ge=0, le=1)
    crop: int | None = setting(
        None, "Side of the crop of a window used per step; none: the whole window.", "voxels", ge=8
    )
    bank: str | None = setting(None, "Folder in which the windows of scenes are cached.")
    bank_scenes: int = setting(
        0, "Number of scenes that are reused, mirrored; 0: every scene is new.", ge=0
    )


class VolumeValidationConfig(ValidationConfig):
    """Held-out scenes with other trees and seeds."""

    trees: tuple[str, ...] = setting((), "Files of measured networks not used in training.")
    shares: tuple[_Positive, ...] = setting(
        (0.03, 0.1, 0.3), "Shares of the acquisition; one group of windows for each."
    )
    windows: int = setting(4, "Number of windows per group.", ge=1)

    @property
    def n_scenes(self) -> int:
        return self.windows


class VolumeTrainConfig(TrainingConfig):
    """Settings common to the three tasks."""

    data: VolumeDataConfig = VolumeDataConfig()
    validation: VolumeValidationConfig = VolumeValidationConfig()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        common = set(self.data.trees) & set(self.validation.trees)
        if common:
            raise ValueError(f"{min(common)} is used for both training and validation")
        return self


class CompletionTrainConfig(VolumeTrainConfig):
    """All settings of a training of `CompletionNet`."""

    task: Literal["complete"] = setting("complete", "Network to train.")
    name: str = setting("complete", "Name of the weights.")
    network: CompletionNetConfig = CompletionNetConfig()


class SuperResolutionTrainConfig(VolumeTrainConfig):
    """All settings of a training of `SuperResolutionNet`."""

    task: Literal["superres"] = setting("superres", "Network to train.")
    name: str = setting("superres", "Name of the weights.")
    network: SuperResolutionNetConfig = SuperResolutionNetConfig()


class SegmentationTrainConfig(VolumeTrainConfig):
    """All settings of a training of `SegmentationNet`."""

    task: Literal["segment"] = setting("segment", "Network to train.")
    name: str = setting("segment", "Name of the weights.")
    network: SegmentationNetConfig = SegmentationNetConfig()
