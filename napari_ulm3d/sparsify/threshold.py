"""Keep voxels whose squared correlation reaches a threshold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify.collect import Collector, power

__all__ = ["reaches_threshold", "sparsify_threshold"]


_BRIGHT = 0.2
"""|c|^2 of voxels near which fainter ones are kept."""
_NEAR = 2
"""Distance from these, in voxels along each axis."""


def reaches_threshold(powers: NDArray[np.float32], config: SparsifyConfig) -> NDArray[np.bool_]:
    """Where squared correlations |c|^2 reach `config.threshold`, or `config.near_threshold` near bright ones.

    Where bubbles overlap, their image is not that of one bubble, and |c|^2 falls below a threshold
    that keeps out the noise. As with hysteresis thresholding (Canny, IEEE Trans. Pattern Anal. Mach.
    Intell. 8:679, 1986), a lower one serves near voxels that are certain.

    Parameters
    ----------
    powers
        (z, y, x) of a frame, or (t, z, y, x).
    config
        Both thresholds.
    """
    kept: NDArray[np.bool_] = powers >= config.threshold
    if config.near_threshold >= config.threshold:
        return kept
    low, bright = powers >= config.near_threshold, powers >= _BRIGHT
    grid = powers.shape[-3:]
    for frame, fainter, certain in zip(
        *(mask.reshape(-1, *grid) for mask in (kept, low, bright)), strict=True
    ):
        if certain.any():
            near = maximum_filter(certain.view(np.uint8), size=2 * _NEAR + 1, mode="constant")
            frame |= fainter & near.view(bool)
    return kept


def sparsify_threshold(
    chunks: Iterable[NDArray[Any]], config: SparsifyConfig, first_frame: int = 0
) -> SparseFrames:
    """Keep voxels with |c|^2 >= `config.threshold` (Rauby et al., arXiv 2402.09359), and others near bright ones.

    Parameters
    ----------
    chunks
        Consecutive frames of the correlation map, each (t, z, y, x) complex or real.
    config
        `threshold`, on the squared magnitude; 0 keeps every voxel. `near_threshold`: see
        `reaches_threshold`.
    first_frame
        Number of the first frame in the whole acquisition.
    """
    kept = Collector(first_frame)
    for chunk in chunks:
        kept.add(chunk, reaches_threshold(power(chunk), config))
    return kept.result()
