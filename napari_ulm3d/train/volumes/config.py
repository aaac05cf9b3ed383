"""The settings of a training of the networks on whole volumes."""

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
    """Which vessels, how they are seen, and which windows are cut from their maps."""

    trees: tuple[str, ...] = setting((), "Files of measured networks to train on.")
    tree_share: float = setting(0.5, "Share of scenes from `trees`; the others grow.", ge=0, le=1)
    tree_radius: _Range = setting(
        (0.3, 0.9), "Radii of a measured network over those of the file, scaled to `field_um`."
    )
    field_um: _Range = setting(
        (500.0, 900.0), "Side of the cube that a network grows in or is scaled to.", "um"
    )
    spacing_um: _Range = setting((70.0, 160.0), "Capillary spacing of grown networks.", "um")
    positions: _Range = setting(
        (40_000.0, 240_000.0), "Positions of bubbles in a full acquisition, over the logarithm."
    )
    bubbles: _Range = setting((2.0, 12.0), "Mean number of bubbles in view.", "bubbles")
    rate: _Range = setting((120.0, 400.0), "Frame rate (volumes per second).", "Hz")
    max_speed: _Range = setting((8.0, 30.0), "Fastest centreline.", "mm/s")
    detected: _Range = setting((0.6, 0.97), "Probability that a bubble is localized in a frame.")
    error_um: _From0 = setting((3.0, 10.0), "Standard deviation of a localization.", "um")
    false_share: _From0 = setting((0.0, 0.6), "False localizations a frame, over the bubbles.")
    slowest_mm_s: _From0 = setting(
        (0.0, 0.8), "Speed below which the clutter filter takes nine bubbles in ten.", "mm/s"
    )
    acquired: _Range = setting((0.01, 1.0), "Share of the acquisition that the input holds.")
    voxel_um: _Range = setting((7.0, 14.0), "Voxel of the input map.", "um")
    window: int = setting(64, "Side of a window of the input map.", "voxels", ge=8)
    flat_share: float = setting(
        0.2, "Share of windows that are a slab seen as a plane (2-D data).", ge=0, le=1
    )
    slab_um: _Range = setting((60.0, 250.0), "Thickness of that slab.", "um")
    upright: bool = setting(
        False, "Turn geometry about the depth axis alone (arteries dive); else any way."
    )
    speed_share: float = setting(
        0.6, "Share of windows whose speeds and directions are given.", ge=0, le=1
    )
    crop: int | None = setting(
        None, "Side of the part of a window that a step sees; none: all of it.", "voxels", ge=8
    )
    bank: str | None = setting(None, "Folder where scenes' windows are kept, to be used again.")
    bank_scenes: int = setting(
        0, "Number of scenes that are used again and again, mirrored; 0: each is new.", ge=0
    )


class VolumeValidationConfig(ValidationConfig):
    """Held-out scenes: other trees, other seeds."""

    trees: tuple[str, ...] = setting((), "Files of measured networks, of none of the training's.")
    shares: tuple[_Positive, ...] = setting(
        (0.03, 0.1, 0.3), "Shares of the acquisition, a group of windows each."
    )
    windows: int = setting(4, "Windows of each group.", ge=1)

    @property
    def n_scenes(self) -> int:
        return self.windows


class VolumeTrainConfig(TrainingConfig):
    """What the three tasks share."""

    data: VolumeDataConfig = VolumeDataConfig()
    validation: VolumeValidationConfig = VolumeValidationConfig()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        common = set(self.data.trees) & set(self.validation.trees)
        if common:
            raise ValueError(f"{min(common)} would serve training and validation")
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
