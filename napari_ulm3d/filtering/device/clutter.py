"""Find and remove the strongest singular components of a block on its device.

The method is that of `filtering.randomized`, with the same random signs and sums.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ulm3d.filtering._chunks import voxel_slices
from napari_ulm3d.filtering.randomized import sketch_bins, sketch_signs, sketch_width

__all__ = ["leading_components", "remove_leading"]


def leading_components(casorati: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """Like `filtering.randomized.leading_components`, for a (t, v) complex64 or float32 tensor.

    Returns
    -------
    values
        (n_components,) float64, descending.
    vectors
        (t, n_components) complex128 or float64.
    """
    n_frames, n_voxels = casorati.shape
    width = min(sketch_width(n_components), n_frames)
    double = torch.complex128 if casorati.is_complex() else torch.float64
    n_bins = min(sketch_bins(width), n_voxels)
    signs = _signs(n_voxels, casorati.device)
    signed = casorati * signs
    # As real numbers, since not every device adds complex rows.
    rows = torch.view_as_real(signed) if casorati.is_complex() else signed[..., None]
    sums = rows.new_zeros((n_frames, n_bins, rows.shape[2]))
    sums.index_add_(1, _bins(n_frames, n_voxels, n_bins, casorati.device), rows)
    sums = sums.double()
    sketch = torch.view_as_complex(sums) if casorati.is_complex() else sums[..., 0]
    basis = _descending(sketch @ sketch.mH)[1][:, :width]
    power = casorati @ (basis.mH.to(casorati.dtype) @ casorati).mH
    basis = torch.linalg.qr(power.to(double))[0]
    # Convert to double before squaring, because here the ratio of tissue to bubbles is squared.
    seen = (basis.mH.to(casorati.dtype) @ casorati).to(double)
    powers, rotation = _descending(seen @ seen.mH)
    values = powers[:n_components].clamp_min(0.0).sqrt()
    return values, (basis @ rotation)[:, :n_components]


def remove_leading(frames: Tensor, n_components: int) -> tuple[Tensor, Tensor, Tensor]:
    """Remove the strongest singular components of a block; return their values and vectors too.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32. It is overwritten.
    n_components
        Number of components to remove; those from ``n_components + 1`` are kept.

    Returns
    -------
    The block, (n,) float64 singular values, and (t, n) temporal singular vectors of its type.
    """
    casorati = frames.view(len(frames), -1)
    values, vectors = leading_components(casorati, n_components)
    basis = vectors.to(casorati.dtype)
    casorati.sub_(basis @ (basis.mH @ casorati))
    return frames, values, basis


def _descending(gram: Tensor) -> tuple[Tensor, Tensor]:
    powers, vectors = torch.linalg.eigh(gram)
    return powers.flip(0), vectors.flip(1)


@lru_cache(maxsize=4)
def _signs(n_voxels: int, device: torch.device) -> Tensor:
    return torch.from_numpy(sketch_signs(n_voxels)).to(device)


@lru_cache(maxsize=4)
def _bins(n_frames: int, n_voxels: int, n_bins: int, device: torch.device) -> Tensor:
    """Index of the sum to which each voxel is added."""
    bins: NDArray[np.int64] = np.concatenate(
        [np.arange(part.stop - part.start) % n_bins for part in voxel_slices(n_voxels, n_frames)]
    )
    return torch.from_numpy(bins).to(device)
