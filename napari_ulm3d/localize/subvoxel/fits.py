"""What goes into a sub-voxel localizer and what comes out."""

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
        complex64. Of real frames: each less its median, the imaginary part zero.
    envelope
        float32, |frames|; of real frames themselves, negative values set to zero.
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
    """Bubbles below the voxel, sorted by frame.

    Parameters
    ----------
    frame
        (n,) int32, index into the stack.
    voxel
        (n, 3) int32, the maximum that the bubble was found at.
    position
        (n, 3) float64, in voxels, z, y, x.
    contrast
        (n,) float64, the peak over its background (a ratio).
    quality
        (n,) float64 in [0, 1]; each localizer says what it is.
    sigma
        (n, 3) float64 in voxels: standard deviation of the position; None if unknown.
    rejections
        The maxima that did not make it.
    """

    frame: NDArray[np.int32]
    voxel: NDArray[np.int32]
    position: NDArray[np.float64]
    contrast: NDArray[np.float64]
    quality: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    rejections: Rejections


Localizer = Callable[[Stack, Candidates, LocalizeConfig], Fits]
