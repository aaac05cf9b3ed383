"""Settings for measurements on the data before a run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["CalibrateConfig"]

Factor = Annotated[int, Field(ge=1)]


class CalibrateConfig(StageConfig):
    """Calibration: what a run measures on the data first, and the grid it computes on."""

    thinning: tuple[Factor, Factor, Factor] | None = setting(
        None,
        "Keep every n-th voxel along z, y, x for the computation (1, 1, 1: all). auto: "
        "as coarse as the PSF allows, or all voxels if another setting is given in "
        "voxels.",
    )
    voxels_per_width: float = setting(
        2.0,
        "Minimum number of voxels across the full width at half maximum of the PSF after thinning.",
        "voxels",
        ge=1.5,
    )
    blocks: int = setting(
        3,
        "Number of blocks, spread over the acquisition, used for the calibration.",
        "blocks",
        ge=1,
    )
