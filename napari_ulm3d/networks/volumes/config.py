"""Sizes of the networks on whole volumes."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from napari_ulm3d.config import StageConfig, setting

__all__ = [
    "FEATURES",
    "CompletionNetConfig",
    "SegmentationNetConfig",
    "SuperResolutionNetConfig",
    "VolumeNetConfig",
]

#: Input features of a non-empty voxel, in this order. `has_velocity` is 1 if the following three
#: are measured, otherwise they are zero.
FEATURES = (
    "occupied",
    "log_density",
    "has_velocity",
    "speed",
    "velocity_z",
    "direction",
    "log_voxel",
)

_Channels = tuple[Annotated[int, Field(ge=1)], ...]


class VolumeNetConfig(StageConfig):
    """Sizes of a U-Net on sparse voxels; each level halves the resolution."""

    channels: _Channels = setting((16, 32, 48, 64), "Channels by level, finest first.")
    convolutions: int = setting(1, "Convolutions of a level after the one that enters it.", ge=0)

    @model_validator(mode="after")
    def _deep(self) -> Self:
        if len(self.channels) < 2:
            raise ValueError("channels must name two levels or more")
        return self

    @property
    def levels(self) -> int:
        """Number of halvings of the resolution from the finest to the coarsest level."""
        return len(self.channels) - 1


class _GenerativeConfig(VolumeNetConfig):
    """Additional settings of generative networks."""

    keep: float = setting(
        0.2,
        "Probability above which a voxel is kept and goes on to the next finer scale.",
        gt=0,
        lt=1,
    )


class CompletionNetConfig(_GenerativeConfig):
    """Sizes of the network that completes a map of few tracks."""


class SuperResolutionNetConfig(_GenerativeConfig):
    """Sizes of the network from a coarse map to finer ones."""

    fine_channels: _Channels = setting((12, 8), "Channels after each doubling of the resolution.")

    @model_validator(mode="after")
    def _finer(self) -> Self:
        if not self.fine_channels:
            raise ValueError("fine_channels must name one doubling or more")
        return self

    @property
    def doublings(self) -> int:
        """Number of doublings of the resolution that the network supports."""
        return len(self.fine_channels)


class SegmentationNetConfig(VolumeNetConfig):
    """Sizes of the network that separates vessels from noise, and arteries from veins."""

    kinds: int = setting(3, "Kinds of vessel: artery, capillary, vein, in this order.", ge=1)
