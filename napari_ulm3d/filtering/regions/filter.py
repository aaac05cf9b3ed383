"""Singular value decomposition of each region of a block, blended where regions overlap.

Tissue that moves differently from place to place needs many components of the whole volume, but few of each
region, so that less flow is removed with it (block-wise adaptive local clutter filtering: Song et al.,
IEEE TMI 36, 251 (2017)).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.filtering.regions.layout import regions_of
from napari_ulm3d.filtering.svd import project_components, svd_components

__all__ = ["svd_filter_by_regions"]


def svd_filter_by_regions(
    block: NDArray[Any], config: ClutterConfig, valid: NDArray[np.bool_]
) -> tuple[NDArray[Any], tuple[int, int]]:
    """Remove the tissue components of each region; needs the memory of a second block.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32. Not modified.
    config
        With `regions`. Without `svd_range`, the first component kept is determined in each region.
    valid
        (z, y, x) voxels with data (`valid_voxels`). Regions without any are left at zero.

    Returns
    -------
    filtered
        (t, z, y, x), the block's dtype.
    kept
        First component kept (the median over the regions) and the last, counted from 1.

    Raises
    ------
    ConfigError
        A region would be too small, or the block has fewer frames than the first component to keep.
    """
    assert config.regions is not None
    shape = (block.shape[1], block.shape[2], block.shape[3])
    total = np.zeros_like(block)
    kept = []
    for region in regions_of(shape, config.regions):
        there = valid[region.where]
        if not there.any():
            continue
        inside = (slice(None), *region.where)
        part = np.ascontiguousarray(block[inside])
        found = svd_components(part, config, there)
        kept.append(found.kept)
        total[inside] += region.weight * project_components(
            part, found.vectors, found.kept, out=part
        )
    first, last = np.median(kept or [(1, len(block))], axis=0)
    return total, (int(first), int(last))
