"""Settings of a training of the mask network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.networks.mask_cnn import MaskCNNConfig
from napari_ulm3d.train.config import DataConfig, TrainingConfig, ValidationConfig

__all__ = ["MaskDataConfig", "MaskLossConfig", "MaskTrainConfig"]

_Half = Annotated[int, Field(ge=0)]


class MaskDataConfig(DataConfig):
    """Scenes from which windows are cut, and the voxels that the mask should keep."""

    flat_share: float = setting(
        0.5,
        "Share of scenes that are planes (one voxel along y) rather than volumes. One "
        "network learns both.",
        ge=0,
        le=1,
    )
    flat_shape: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = setting(
        (32, 32), "Voxels of these planes along z, x.", "voxels"
    )
    radius: tuple[_Half, _Half, _Half] = setting(
        (1, 1, 1),
        "Number of voxels kept on each side of a bubble's voxel, along z, y, x.",
        "voxels",
    )


class MaskLossConfig(StageConfig):
    """Weights of the terms of the loss."""

    cross_entropy: float = setting(1.0, "Binary cross entropy, mean over the voxels.", ge=0)
    positive_weight: float = setting(
        3.0, "Weight of the voxels to keep relative to the others, in the cross entropy.", gt=0
    )
    dice: float = setting(1.0, "One minus the soft Dice coefficient.", ge=0)


class MaskTrainConfig(TrainingConfig):
    """All settings of a training of `MaskCNN`."""

    task: Literal["mask"] = setting("mask", "Network to train.")
    name: str = setting("mask", "Name of the weights.")
    network: MaskCNNConfig = MaskCNNConfig()
    data: MaskDataConfig = MaskDataConfig()
    loss: MaskLossConfig = MaskLossConfig()
    validation: ValidationConfig = ValidationConfig()
