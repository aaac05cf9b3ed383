"""Keep voxels whose squared correlation reaches a threshold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify.collect import Collector, power

__all__ = ["reaches_threshold", "sparsify_threshold"]


def reaches_threshold(powers: NDArray[np.float32], config: SparsifyConfig) -> NDArray[np.bool_]:
    """Where squared correlations |c|^2 reach `config.threshold`."""
    kept: NDArray[np.bool_] = powers >= config.threshold
    return kept


def sparsify_threshold(
    chunks: Iterable[NDArray[Any]], config: SparsifyConfig, first_frame: int = 0
) -> SparseFrames:
    """Keep voxels with |c|^2 >= `config.threshold` (Rauby et al., arXiv 2402.09359).

    Parameters
    ----------
    chunks
        Consecutive frames of the correlation map, each (t, z, y, x) complex or real.
    config
        `threshold`, on the squared magnitude; 0 keeps every voxel.
    first_frame
        Number of the first frame in the whole acquisition.
    """
    kept = Collector(first_frame)
    for chunk in chunks:
        kept.add(chunk, reaches_threshold(power(chunk), config))
    return kept.result()
