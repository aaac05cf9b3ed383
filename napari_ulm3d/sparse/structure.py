"""Select and combine voxels: prune, align, add and concatenate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.forms import uses_tables
from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = ["add", "align", "concatenate", "prune"]


def prune(x: SparseTensor, mask: Tensor) -> SparseTensor:
    """Keep the voxels selected by a mask, possibly none.

    Parameters
    ----------
    x
        Any sparse tensor.
    mask
        (n,) bool, by row.

    Raises
    ------
    ConfigError
        The mask has the wrong shape or type.
    """
    if mask.shape != (len(x),) or mask.dtype != torch.bool:
        raise ConfigError(
            f"A mask {tuple(mask.shape)} of {mask.dtype} does not match {len(x)} voxels; give "
            "booleans."
        )
    rows = mask.nonzero().flatten()
    if len(rows) == len(x):
        return x
    c = x.coordinates
    kept = Coordinates(c.indices[rows], c.shape, c.batch_size, c.stride)
    return x.with_coordinates(x.features.index_select(0, rows), kept)


def align(x: SparseTensor, target: SparseTensor | Coordinates) -> SparseTensor:
    """Features on the voxels of `target`: zero where `x` has none; other voxels are dropped.

    Raises
    ------
    ConfigError
        The two have different grids.
    """
    coordinates = target.coordinates if isinstance(target, SparseTensor) else target
    _check_grids([x.coordinates, coordinates])
    if x.coordinates.same_voxels(coordinates):
        return x.with_coordinates(x.features, coordinates)
    keys, wanted = x.coordinates.keys(), coordinates.keys()
    if uses_tables(x.device):  # a row of zeros for missing voxels, without synchronization
        ended = torch.cat([keys, keys.new_full((1,), torch.iinfo(torch.int64).max)])
        at = torch.searchsorted(keys, wanted)
        rows = at.where(ended[at] == wanted, len(keys))
        features = torch.cat([x.features, x.features.new_zeros((1, x.channels))])
        return x.with_coordinates(features.index_select(0, rows), coordinates)
    if not len(keys):
        wanted = wanted[:0]
    at = torch.searchsorted(keys, wanted).clamp_(max=max(0, len(keys) - 1))
    rows = (keys[at] == wanted).nonzero().flatten()
    # Even without common rows the result depends on the features, so that training continues.
    out = x.features.new_zeros((len(coordinates), x.channels))
    out = out.index_copy(0, rows, x.features.index_select(0, at[rows]))
    return x.with_coordinates(out, coordinates)


def add(*tensors: SparseTensor) -> SparseTensor:
    """Sum on the union of the tensors' voxels.

    Raises
    ------
    ConfigError
        The tensors have different grids.
    """
    out, *rest = _on_union(tensors)
    features = out.features
    for other in rest:
        features = features + other.features
    return out.with_features(features)


def concatenate(tensors: Sequence[SparseTensor], join: str = "same") -> SparseTensor:
    """Concatenate the channels of several tensors.

    Parameters
    ----------
    tensors
        One or more.
    join
        ``same``: all must have the same voxels; ``union``: missing voxels are zero; ``first``: only
        the voxels of the first tensor.

    Raises
    ------
    ConfigError
        The tensors have different grids, or different voxels with ``same``.
    """
    if join not in ("same", "union", "first"):
        raise ConfigError(f"There is no join {join!r}. Use same, union or first.")
    first = tensors[0]
    if join == "same" and not all(
        first.coordinates.same_voxels(x.coordinates) for x in tensors[1:]
    ):
        raise ConfigError('The tensors have different voxels. Use join="union" or join="first".')
    joined = _on_union(tensors) if join == "union" else [align(x, first) for x in tensors]
    return joined[0].with_features(torch.cat([x.features for x in joined], dim=1))


def _on_union(tensors: Sequence[SparseTensor]) -> list[SparseTensor]:
    sets = [x.coordinates for x in tensors]
    _check_grids(sets)
    first = sets[0]
    if all(first.same_voxels(other) for other in sets[1:]):
        return [align(x, first) for x in tensors]
    keys = torch.unique(torch.cat([c.keys() for c in sets]))
    # A set that already has all voxels is reused, along with its kernel maps.
    union = next((c for c in sets if len(c) == len(keys)), None) or first.from_keys(keys)
    return [align(x, union) for x in tensors]


def _check_grids(sets: Sequence[Coordinates]) -> None:
    for other in sets[1:]:
        if not sets[0].same_grid(other):
            raise ConfigError(f"{sets[0]} and {other} lie on different grids.")
