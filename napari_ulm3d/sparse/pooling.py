"""Pooling over blocks of the grid: the kernel is the stride, of any size by axis.

A block's value is that of the voxels it has: empty voxels do not count, neither as zeros in a
maximum nor in a mean. Rows are ordered by their rank within their block, so that each rank is a
list without doubles: the sums and maxima are the same bits on every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = ["MaxPool", "TimePool"]

Mode = Literal["max", "mean", "sum"]


class MaxPool(nn.Module):
    """Maximum over blocks of `kernel_size` voxels; the grid shrinks to ceil(n / kernel).

    With a mask of the voxels that are there, torch's dense max pooling with ``ceil_mode`` gives
    the same. Of equal values the first in order gets the gradient, as there.

    Parameters
    ----------
    kernel_size
        By axis; kernel and stride are one.
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
    """All of the first axis, time, pooled to a length of one.

    Parameters
    ----------
    mode
        ``max``, ``mean`` or ``sum`` over the voxels that are there.
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


class _Blocks:
    """Which rows a block has: rows by rank in the block, and the block each belongs to."""

    def __init__(self, coarse: Coordinates, parent: Tensor) -> None:
        self.coarse, self.parent = coarse, parent
        self.counts = torch.bincount(parent, minlength=len(coarse))
        by_block = torch.argsort(parent, stable=True)
        first = torch.cumsum(self.counts, 0) - self.counts
        rank = torch.arange(len(parent), device=parent.device) - first[parent[by_block]]
        by_rank = torch.argsort(rank, stable=True)
        self.rows = by_block[by_rank]
        sizes = torch.bincount(rank).tolist()
        self.ranks: list[tuple[Tensor, Tensor]] = []
        begin = 0
        for size in sizes:
            rows = self.rows[begin : begin + size]
            self.ranks.append((rows, parent[rows]))
            begin += size


def _blocks(coordinates: Coordinates, kernel: tuple[int, ...]) -> _Blocks:
    def make() -> _Blocks:
        size = torch.tensor((1, *kernel), device=coordinates.device, dtype=torch.int32)
        moved = torch.div(coordinates.indices, size, rounding_mode="floor")
        shape = tuple(-(-n // k) for n, k in zip(coordinates.shape, kernel, strict=True))
        stride = [s * k for s, k in zip(coordinates.stride, kernel, strict=True)]
        grid = Coordinates(moved, shape, coordinates.batch_size, stride)
        keys, parent = torch.unique(grid.keys(), return_inverse=True)
        return _Blocks(grid.from_keys(keys), parent)

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
        shape = (len(blocks.coarse), features.shape[1])
        out = features.new_full(shape, -torch.inf)
        winner = torch.zeros(shape, dtype=torch.int32, device=features.device)
        for rank, (rows, block) in enumerate(blocks.ranks):
            new, old = features.index_select(0, rows), out.index_select(0, block)
            # A NaN wins, as in torch: better a visible fault than a hidden one.
            better = (new > old) | new.isnan() if rank else torch.ones_like(new, dtype=torch.bool)
            out.index_copy_(0, block, torch.where(better, new, old))
            row = rows[:, None].to(torch.int32)
            kept = torch.where(better, row, winner.index_select(0, block))
            winner.index_copy_(0, block, kept)
        ctx.save_for_backward(winner)
        ctx.n = len(features)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (winner,) = ctx.saved_tensors
        out = grad.new_zeros((ctx.n, grad.shape[1]))
        # A row belongs to one block, so no place is written twice.
        return out.scatter_(0, winner.long(), grad), None


class _BlockSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, blocks: _Blocks) -> Tensor:
        ctx.parent = blocks.parent
        out = features.new_zeros((len(blocks.coarse), features.shape[1]))
        for rows, block in blocks.ranks:
            sums = out.index_select(0, block).add_(features.index_select(0, rows))
            out.index_copy_(0, block, sums)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.index_select(0, ctx.parent), None
