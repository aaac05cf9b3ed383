"""`nearest`: the maximum itself, not moved. The smallest sub-voxel localizer, one file to copy."""

from __future__ import annotations

import numpy as np

from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates
from napari_ulm3d.localize.subvoxel.fits import Fits, Stack
from napari_ulm3d.localize.subvoxel.patches import collect

NAME = "nearest"
SETTINGS = ("fwhm_voxels",)


def nearest(stack: Stack, candidates: Candidates, config: LocalizeConfig) -> Fits:
    """The voxel of each maximum."""

    def kernel(shift: np.ndarray, state: np.ndarray) -> None:
        shift[:] = 0.0

    return collect(candidates, kernel, config)


LOCALIZER = nearest
