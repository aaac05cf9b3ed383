"""Scores of a filled hole: Dice, boundary Dice, 95 % Hausdorff distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.vessels.skull.volume import EDGE_MM, Mask

__all__ = ["hole_scores"]

_TOLERANCE_VOXELS = 1.0


def hole_scores(found: Mask, true: Mask) -> NDArray[np.float64]:
    """(3,) Dice, Dice of the borders with a tolerance of one voxel, 95 % Hausdorff distance in mm.

    The distance is the larger of the 95th percentiles from border to border; if nothing was
    found, it is the diagonal of the volume.

    Parameters
    ----------
    found, true
        Bone that was missing, in the part of the volume around the hole.
    """
    if not found.any():
        return np.array([0.0, 0.0, EDGE_MM * float(np.linalg.norm(true.shape))])
    dice = 2 * (found & true).sum() / (found.sum() + true.sum())
    borders = [m & ~ndimage.binary_erosion(np.pad(m, 1))[1:-1, 1:-1, 1:-1] for m in (found, true)]
    away = [
        ndimage.distance_transform_edt(~other)[mine] for mine, other in (borders, reversed(borders))
    ]
    near = sum((a <= _TOLERANCE_VOXELS).sum() for a in away) / sum(a.size for a in away)
    farthest = EDGE_MM * max(float(np.percentile(a, 95)) for a in away)
    return np.array([dice, near, farthest])
