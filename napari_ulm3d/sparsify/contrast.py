"""Keep voxels with a minimum signal-to-noise ratio in dB relative to their surroundings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, maximum_filter

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify.collect import Collector, shape_of

__all__ = ["local_background", "local_contrast_db", "sparsify_contrast", "stands_out"]

_NEIGHBOUR_WEIGHT = 0.2
"""Weight of the 26 nearest voxels in the background; the voxel itself has weight 0."""


def local_background(magnitude: NDArray[np.float32], patch: tuple[int, int, int]) -> NDArray[Any]:
    """Mean magnitude around every voxel of a frame: the level of noise and clutter.

    The weighted mean over the patch, with weight 0 for the voxel itself, 0.2 for its 26
    neighbours and 1 elsewhere, after setting the frame's local maxima (over 26 neighbours)
    to zero so that nearby bubbles do not count as noise. This is the background of
    Open-3DULM (Chabouh et al., Commun. Eng. 2025), except at the border: here the
    weights are normalized over the part of the patch inside the frame, while Open-3DULM
    includes zeros outside, which increases the contrast there.

    Parameters
    ----------
    magnitude
        (z, y, x) float32, non-negative.
    patch
        Odd size along z, y, x, voxels.

    Returns
    -------
    (z, y, x) float64.
    """
    peaks = maximum_filter(magnitude, size=3, mode="constant") == magnitude
    rest = np.where(peaks, np.float32(0), magnitude).astype(np.float64)
    # A patch that contains only the voxel itself has no background: its weight is NaN.
    total = np.maximum(_weighted_sum(rest, patch), 0) / _weights(magnitude.shape, patch)
    return np.where(np.isnan(total), np.inf, total)


def local_contrast_db(frame: NDArray[Any], patch: tuple[int, int, int]) -> NDArray[np.float32]:
    """20 log10 of the ratio of every voxel's magnitude to its `local_background`, dB.

    -inf if the voxel is zero; +inf if only the background is zero.
    """
    magnitude = np.abs(frame).astype(np.float32)
    background = local_background(magnitude, patch)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(magnitude > 0, magnitude / background, 0.0)
        return (20 * np.log10(ratio)).astype(np.float32)


def stands_out(contrast_db: NDArray[np.float32], config: SparsifyConfig) -> NDArray[np.bool_]:
    """Where local contrasts (see `local_contrast_db`) reach `config.min_snr_db`."""
    kept: NDArray[np.bool_] = contrast_db >= config.min_snr_db
    return kept


def sparsify_contrast(
    chunks: Iterable[NDArray[Any]], config: SparsifyConfig, first_frame: int = 0
) -> SparseFrames:
    """Keep voxels whose local contrast reaches `config.min_snr_db` (see `local_background`).

    Open-3DULM measures the contrast only at local maxima of the filtered frames; here it is
    measured at every voxel, so the flanks of a bright bubble are kept with it.

    Parameters
    ----------
    chunks
        Consecutive frames of the correlation map, each (t, z, y, x) complex or real.
    config
        `min_snr_db` and `patch_voxels`.
    first_frame
        Number of the first frame in the whole acquisition.
    """
    kept = Collector(first_frame)
    for chunk in chunks:
        shape_of(chunk, kept.grid)
        mask = np.zeros(chunk.shape, bool)
        for frame, row in zip(chunk, mask, strict=True):
            row[...] = stands_out(local_contrast_db(frame, config.patch_voxels), config)
        kept.add(chunk, mask)
    return kept.result()


@lru_cache(maxsize=8)
def _weights(shape: tuple[int, ...], patch: tuple[int, int, int]) -> NDArray[np.float64]:
    """Sum of the weights inside the frame; NaN if there are none."""
    weights = _weighted_sum(np.ones(shape), patch)
    weights[weights < 1e-9] = np.nan
    weights.setflags(write=False)
    return weights


def _weighted_sum(values: NDArray[np.float64], patch: tuple[int, int, int]) -> NDArray[np.float64]:
    near = (min(patch[0], 3), min(patch[1], 3), min(patch[2], 3))
    total = _box(values, patch) - (1 - _NEIGHBOUR_WEIGHT) * _box(values, near)
    return total - _NEIGHBOUR_WEIGHT * values


def _box(frame: NDArray[np.float64], patch: tuple[int, int, int]) -> NDArray[np.float64]:
    for axis, size in enumerate(patch):
        if size > 1:
            frame = correlate1d(frame, np.ones(size), axis, mode="constant")
    return frame
