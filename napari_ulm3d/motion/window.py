"""A window that tapers an image towards its edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["edge_window"]

_TAPER = 0.3
"""Fraction of each edge over which the image is tapered, so that its borders do not count."""


def edge_window(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Product of Tukey windows along the axes of more than one voxel."""
    from scipy.signal.windows import tukey

    window = np.ones(shape, np.float32)
    for axis, n in enumerate(shape):
        if n > 1:
            along = tukey(n + 2, _TAPER)[1:-1].astype(np.float32)
            window *= along.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return window
