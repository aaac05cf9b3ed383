"""Pooling over blocks of the grid: the kernel is also the stride, of any size by axis.

Only occupied voxels count: empty ones are not zeros in a maximum or a mean. On the CPU rows are
ordered by their rank within their block, so that each rank is a list without duplicates and sums
are reproducible. On a GPU all rows are scattered at once; the order of a sum then varies, which
does not matter for a maximum.

Only the number of blocks requires synchronization with a GPU. `prepare` obtains it once for all
levels of a network, before the first layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.forms import uses_tables
from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = ["MaxPool", "TimePool", "prepare"]

Mode = Literal["max", "mean", "sum"]


class MaxPool(nn.Module):
    """Maximum over blocks of `kernel_size` voxels; the grid shrinks to ceil(n / kernel).

    With a mask of the occupied voxels, torch's dense max pooling with ``ceil_mode`` gives
    the same. As there, the first of equal values receives the gradient.

    Parameters
    ----------
    kernel_size
        By axis; also the stride.
    """

    def __init__(self, kernel_size: Sequence[int]) -> None:
        super().__init__()
        self.kernel_size = tuple(kernel_size)
        if min(self.kernel_size) < 1:
            raise ConfigError(
                f"A pooling kernel must be 1 or more along each axis, not {self.kernel_size}."
            )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}"

    def forward(self, x: SparseTensor) -> SparseTensor:
        if len(self.kernel_size) != x.ndim:
            raise ConfigError(f"A kernel {self.kernel_size} does not match {x.ndim} axes.")
        return _pool(x, self.kernel_size, "max")


class TimePool(nn.Module):
    """Pools the whole first axis, time, to a length of one.

    Parameters
    ----------
    mode
        ``max``, ``mean`` or ``sum`` over the occupied voxels.
    """

    def __init__(self, mode: Mode = "max") -> None:
        super().__init__()
        if mode not in ("max", "mean", "sum"):
            raise ConfigError(f"There is no pooling mode {mode!r}. Use max, mean or sum.")
        self.mode: Mode = mode

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"

    def forward(self, x: SparseTensor) -> SparseTensor:
        return _pool(x, (x.shape[0], *(1,) * (x.ndim - 1)), self.mode)


def prepare(
    coordinates: Coordinates,
    kernels: Sequence[tuple[int, ...]],
    sizes: Sequence[int] | None = None,
) -> None:
    """Build the grids of successive poolings, with a single synchronization with a GPU.

    Parameters
    ----------
    coordinates
        Input of the first pooling.
    kernels
        Kernel of each pooling, applied to the output of the previous one.
    sizes
        Number of voxels of each output, if known: then no synchronization is needed.
    """
    kernels = list(kernels)
    while kernels and coordinates.has(("blocks", kernels[0])):
        coordinates = _blocks(coordinates, kernels.pop(0)).coarse
        sizes = None if sizes is None else sizes[1:]
    if uses_tables(coordinates.device) and kernels and sizes is None:
        grid, keys = coordinates, []
        for kernel in kernels:
            # Blocks of blocks; duplicates are kept here and counted below.
            grid = _moved(grid, kernel)
            keys.append(torch.sort(grid.keys())[0])
        firsts = [_first(each).sum() for each in keys]
        sizes = torch.stack(firsts).tolist()
    for k, kernel in enumerate(kernels):
        coordinates = _blocks(coordinates, kernel, None if sizes is None else sizes[k]).coarse


class _Blocks:
    """The rows of each block, and the block of each row."""

    def __init__(self, coarse: Coordinates, parent: Tensor) -> None:
        self.coarse, self.parent = coarse, parent

    @cached_property
    def counts(self) -> Tensor:
        """(blocks,) number of rows."""
        ones = torch.ones_like(self.parent)
        return torch.zeros_like(ones[: len(self.coarse)]).index_add_(0, self.parent, ones)

    @cached_property
    def ranks(self) -> list[tuple[Tensor, Tensor]]:
        """Rows and their blocks, for each rank within a block."""
        parent = self.parent
        by_block = torch.argsort(parent, stable=True)
        first = torch.cumsum(self.counts, 0) - self.counts
        rank = torch.arange(len(parent), device=parent.device) - first[parent[by_block]]
        rows = by_block[torch.argsort(rank, stable=True)]
        parts = rows.split(torch.bincount(rank).tolist())
        return [(part, parent[part]) for part in parts]


def _moved(coordinates: Coordinates, kernel: tuple[int, ...]) -> Coordinates:
    """The block of every row, unsorted and with duplicates."""
    size = torch.tensor((1, *kernel), dtype=torch.int32).to(coordinates.device)
    moved = torch.div(coordinates.indices, size, rounding_mode="floor")
    shape = tuple(-(-n // k) for n, k in zip(coordinates.shape, kernel, strict=True))
    stride = [s * k for s, k in zip(coordinates.stride, kernel, strict=True)]
    return Coordinates(moved, shape, coordinates.batch_size, stride)


def _first(keys: Tensor) -> Tensor:
    """Whether a sorted key is the first of its value."""
    return torch.cat([keys.new_ones(len(keys[:1]), dtype=torch.bool), keys[1:] != keys[:-1]])


def _blocks(coordinates: Coordinates, kernel: tuple[int, ...], size: int | None = None) -> _Blocks:
    def make() -> _Blocks:
        grid = _moved(coordinates, kernel)
        if not uses_tables(coordinates.device):
            keys, parent = torch.unique(grid.keys(), return_inverse=True)
            return _Blocks(grid.from_keys(keys), parent)
        keys, order = torch.sort(grid.keys())
        number = torch.cumsum(_first(keys), 0) - 1
        n = size if size is not None else int(number[-1]) + 1 if len(number) else 0
        parent = torch.empty_like(order).scatter_(0, order, number)
        # All rows of a block write the same values.
        indices = grid.indices.new_empty((n, grid.indices.shape[1]))
        indices.index_copy_(0, number, grid.indices.index_select(0, order))
        return _Blocks(Coordinates(indices, grid.shape, grid.batch_size, grid.stride), parent)

    return coordinates.remember(("blocks", kernel), make)


def _pool(x: SparseTensor, kernel: tuple[int, ...], mode: Mode) -> SparseTensor:
    blocks = _blocks(x.coordinates, kernel)
    if mode == "max":
        out = _BlockMax.apply(x.features, blocks)
    else:
        out = _BlockSum.apply(x.features, blocks)
    if mode == "mean":
        out = out / blocks.counts[:, None].to(out.dtype)
    return x.with_coordinates(out, blocks.coarse)


class _BlockMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, blocks: _Blocks) -> Tensor:
        at_once = uses_tables(features.device)
        out, winner = (_scattered if at_once else _ranked)(
            features, blocks, ctx.needs_input_grad[0]
        )
        if winner is not None:
            ctx.save_for_backward(winner)
        ctx.n = len(features)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (winner,) = ctx.saved_tensors
        out = grad.new_zeros((ctx.n, grad.shape[1]))
        # A row belongs to one block, so no element is written twice.
        return out.scatter_(0, winner.long(), grad), None


# NaN wins, as in torch, so that faults are visible.


def _ranked(features: Tensor, blocks: _Blocks, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """Maxima of the blocks and the row of each, rank by rank."""
    shape = (len(blocks.coarse), features.shape[1])
    out = features.new_full(shape, -torch.inf)
    winner = torch.zeros(shape, dtype=torch.int32, device=features.device)
    for rank, (rows, block) in enumerate(blocks.ranks):
        new, old = features.index_select(0, rows), out.index_select(0, block)
        better = (new > old) | new.isnan() if rank else torch.ones_like(new, dtype=torch.bool)
        out.index_copy_(0, block, torch.where(better, new, old))
        row = rows[:, None].to(torch.int32)
        kept = torch.where(better, row, winner.index_select(0, block))
        winner.index_copy_(0, block, kept)
    return out, winner


def _scattered(features: Tensor, blocks: _Blocks, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """Like `_ranked`, in one step; rows only if `wanted`."""
    n, width = features.shape
    shape = (len(blocks.coarse), width)
    block = blocks.parent[:, None].expand(-1, width)
    out = features.new_full(shape, -torch.inf).scatter_reduce_(0, block, features, "amax")
    if not wanted:
        return out, None
    won = (features == out.index_select(0, blocks.parent)) | features.isnan()
    row = torch.arange(n, device=features.device)[:, None].where(won, n)
    winner = row.new_full(shape, n).scatter_reduce_(0, block, row, "amin")
    return out, winner.to(torch.int32)


class _BlockSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, blocks: _Blocks) -> Tensor:
        ctx.parent = blocks.parent
        out = features.new_zeros((len(blocks.coarse), features.shape[1]))
        if uses_tables(features.device):
            return out.index_add_(0, blocks.parent, features)
        for rows, block in blocks.ranks:
            sums = out.index_select(0, block).add_(features.index_select(0, rows))
            out.index_copy_(0, block, sums)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.index_select(0, ctx.parent), None
