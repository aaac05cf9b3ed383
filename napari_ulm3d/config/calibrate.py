"""What is measured on the data before a run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_ulm3d.config.base import StageConfig, setting

__all__ = ["CalibrateConfig"]

Factor = Annotated[int, Field(ge=1)]


class CalibrateConfig(StageConfig):
    """Fitting a run to its data: what is measured first, and the grid that is worked on."""

    thinning: tuple[Factor, Factor, Factor] | None = setting(
        None,
        "Every how many voxels along z, y, x one is kept to work on (1, 1, 1: all); auto: as few "
        "as the PSF needs, and all where another setting is given in voxels.",
    )
    voxels_per_width: float = setting(
        2.0,
        "Fewest voxels that are left across the PSF's width at half maximum.",
        "voxels",
        ge=1.5,
    )
    blocks: int = setting(
        3, "Blocks, spread over the acquisition, that are measured on.", "blocks", ge=1
    )
