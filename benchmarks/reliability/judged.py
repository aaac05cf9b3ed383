"""Which localizations count, and which of them are hits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenes import Scene
from napari_ulm3d.evaluate import EvaluateConfig
from napari_ulm3d.evaluate.pairing import match
from napari_ulm3d.tables import Localizations

__all__ = ["FIRST_KEPT", "judged"]

FIRST_KEPT = {"crowd": 5, "validation": 8}
"""The first singular component kept in each world: the best for the Gaussian fit."""


def judged(scene: Scene, found: Localizations) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(n,) whether each localization counts, and whether it is a hit; each bubble is hit once."""
    acquisition = scene.acquisition
    tolerances = EvaluateConfig().tolerances(acquisition.wavelength_um)
    pairs = match(found.frames, found.positions_um, scene.truth, acquisition.grid, tolerances)
    # False for NaN, that is, without a pair
    return pairs.counted, pairs.distance_um < tolerances.hit_um
