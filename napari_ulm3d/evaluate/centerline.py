"""clDice: overlap of the centrelines of two vessel masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.evaluate.localization import ratio

__all__ = ["cl_dice"]


def cl_dice(found: NDArray[np.generic], truth: NDArray[np.generic]) -> float:
    """Centreline Dice coefficient (Shit et al., CVPR 2021).

    The harmonic mean of the share of the found centrelines within the true vessels and
    the share of the true centrelines within the found vessels. It depends little on width and
    strongly on connections. Centrelines are from `skimage.morphology.skeletonize`.

    Parameters
    ----------
    found, truth
        2-D or 3-D arrays of equal shape, non-zero in vessels. NaN if both are empty.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    from skimage.morphology import skeletonize

    a, b = np.asarray(found) != 0, np.asarray(truth) != 0
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape} voxels cannot be compared")
    thin_a, thin_b = (skeletonize(np.squeeze(m)).reshape(m.shape) > 0 for m in (a, b))
    if not a.any() or not b.any():
        return ratio(0.0, float(a.any() + b.any()))
    right = ratio(float((thin_a & b).sum()), float(thin_a.sum()))
    whole = ratio(float((thin_b & a).sum()), float(thin_b.sum()))
    return ratio(2 * right * whole, right + whole) if right + whole else 0.0
