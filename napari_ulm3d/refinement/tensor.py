"""Convert features to sparse tensors, and network outputs to maps."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.refinement.features import MapFeatures
from napari_ulm3d.sparse import SparseTensor

__all__ = ["as_tensor", "finer", "flat_index"]


def as_tensor(features: MapFeatures, device: str = "cpu") -> SparseTensor:
    """Sparse tensor of the (n, 7) features on the map's voxels, with a batch size of one."""
    indices = functional.pad(torch.as_tensor(features.index), (1, 0))
    return SparseTensor.create(
        indices.to(device), torch.as_tensor(features.values).to(device), features.grid.shape
    )


def finer(grid: Grid, doublings: int) -> Grid:
    """The grid over the same extent with the voxel edge halved `doublings` times.

    An axis of one voxel is divided as well, as in the networks.
    """
    step = 2**doublings
    spacing = np.asarray(grid.spacing_um) / step
    first = np.asarray(grid.origin_um) - np.asarray(grid.spacing_um) / 2 + spacing / 2
    z, y, x = (n * step for n in grid.shape)
    return Grid((z, y, x), tuple(spacing), tuple(first))


def flat_index(x: SparseTensor, grid: Grid) -> NDArray[np.int64]:
    """(n,) C-order flat indices of a tensor's voxels, all of which lie within `grid`."""
    places = x.indices[:, 1:].cpu().numpy().astype(np.int64)
    return np.ravel_multi_index(tuple(places.T), grid.shape).astype(np.int64)
