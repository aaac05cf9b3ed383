"""Input and output of a sub-voxel localizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates
from napari_ulm3d.localize.rejections import Rejections

__all__ = ["Fits", "Localizer", "Stack"]


@dataclass(frozen=True)
class Stack:
    """A few consecutive frames, (t, z, y, x), C-contiguous.

    Parameters
    ----------
    frames
        complex64. For real frames: minus the median of each, with imaginary part zero.
    envelope
        float32, |frames|; for real frames, the frames with negative values set to zero.
    correlation
        float32, |correlation map|, or None.
    real
        Whether the frames were an envelope.
    """

    frames: NDArray[np.complex64]
    envelope: NDArray[np.float32]
    correlation: NDArray[np.float32] | None = None
    real: bool = False


@dataclass(frozen=True)
class Fits:
    """Bubbles at sub-voxel positions, sorted by frame.

    Parameters
    ----------
    frame
        (n,) int32, index into the stack.
    voxel
        (n, 3) int32, the maximum at which the bubble was detected.
    position
        (n, 3) float64, in voxels, z, y, x.
    contrast
        (n,) float64, peak divided by its background (a ratio).
    quality
        (n,) float64 in [0, 1], defined by each localizer.
    sigma
        (n, 3) float64 in voxels: standard deviation of the position; None if unknown.
    rejections
        Rejected maxima.
    """

    frame: NDArray[np.int32]
    voxel: NDArray[np.int32]
    position: NDArray[np.float64]
    contrast: NDArray[np.float64]
    quality: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    rejections: Rejections


Localizer = Callable[[Stack, Candidates, LocalizeConfig], Fits]
