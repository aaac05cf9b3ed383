"""Sparse convolution in plain PyTorch on lists of pairs: gather, matrix product, add.

Within an offset no target row occurs twice, so additions do not collide and results are
reproducible. Pairs are processed in chunks that fit the processor's cache. The gathered
rows are not kept: the backward pass gathers them again from the input, the weight and the map.
If there are few pairs, all offsets are processed at once, since call overhead would dominate.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_ulm3d.sparse.backends.scatter import add_rows
from napari_ulm3d.sparse.kernel_maps import KernelMap

__all__ = ["convolve_torch"]

# Numbers in one gathered chunk: 1 MiB of float32 fits a core's cache beside its product.
_CHUNK = 2**18

# Most numbers gathered for all offsets at once; chosen by measuring 2**18 to 2**22.
_AT_ONCE = 2**19


def convolve_torch(
    features: Tensor, weight: Tensor, bias: Tensor | None, pairs: KernelMap, transposed: bool
) -> Tensor:
    """As `napari_ulm3d.sparse.backends.backend.convolve`, with weights (c_out, offsets, c_in)."""
    return _Convolve.apply(features, weight, bias, pairs, transposed)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        pairs: KernelMap,
        transposed: bool,
    ) -> Tensor:
        features = features.contiguous()
        ctx.save_for_backward(features, weight)
        ctx.pairs, ctx.transposed = pairs, transposed
        n_target = pairs.n_fine if transposed else pairs.n_coarse
        out = features.new_zeros((n_target, weight.shape[0]))
        if bias is not None:
            out += bias
        _accumulate(out, features, weight.permute(1, 2, 0).contiguous(), pairs, transposed)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad = grad.contiguous()
        grad_features = grad_weight = None
        if needs_features:
            grad_features = torch.zeros_like(features)
            by_offset = weight.permute(1, 0, 2).contiguous()
            _accumulate(grad_features, grad, by_offset, ctx.pairs, not ctx.transposed)
        if needs_weight:
            by_offset = _correlate(grad, features, ctx.pairs, not ctx.transposed)
            grad_weight = by_offset.permute(1, 0, 2).contiguous()
        return grad_features, grad_weight, grad.sum(0) if needs_bias else None, None, None


def _chunks(
    pairs: KernelMap, offset: int, transposed: bool, width: int
) -> Iterator[tuple[Tensor, Tensor]]:
    source, target = pairs.pairs(offset, transposed)
    step = max(256, _CHUNK // max(1, width))
    for begin in range(0, len(source), step):
        part = slice(begin, begin + step)
        yield source[part], target[part]


def _together(
    pairs: KernelMap, transposed: bool, width: int
) -> tuple[Tensor, Tensor, list[int], list[int]] | None:
    """Source and target rows of all offsets but the identity, the offsets, and their pair counts.

    None if the gathered rows exceed `_AT_ONCE` numbers.
    """
    lists = pairs.lists
    if lists.starts[-1] * (1 + pairs.mirrored) * width > _AT_ONCE:
        return None
    if "together" not in pairs.cache:
        first, second = lists.fine.long(), lists.coarse.long()
        sizes = [b - a for a, b in pairwise(lists.starts)]
        offsets = list(range(len(sizes)))
        if pairs.mirrored:
            first, second = torch.cat([first, second]), torch.cat([second, first])
            offsets += [pairs.volume - 1 - offset for offset in offsets]
            sizes += sizes
        pairs.cache["together"] = first, second, offsets, sizes
    first, second, offsets, sizes = pairs.cache["together"]
    return (second, first, offsets, sizes) if transposed else (first, second, offsets, sizes)


def _accumulate(
    out: Tensor, features: Tensor, weight: Tensor, pairs: KernelMap, transposed: bool
) -> None:
    """Add ``features[source] @ weight[o]`` to ``out[target]``; weight is (offsets, c_in, c_out)."""
    together = _together(pairs, transposed, max(weight.shape[1:]))
    if together is not None:
        source, target, offsets, sizes = together
        if pairs.mirrored:
            out.addmm_(features, weight[pairs.volume // 2])
        gathered = features.index_select(0, source)
        products = gathered.new_empty((len(source), weight.shape[2]))
        of = weight.unbind()
        for offset, rows, product in zip(
            offsets, gathered.split(sizes), products.split(sizes), strict=True
        ):
            torch.mm(rows, of[offset], out=product)
        add_rows(out, target, products)
        return
    for offset in range(pairs.volume):
        if pairs.is_identity(offset):
            out.addmm_(features, weight[offset])
            continue
        for source, target in _chunks(pairs, offset, transposed, max(weight.shape[1:])):
            add_rows(out, target, torch.mm(features.index_select(0, source), weight[offset]))


def _correlate(left: Tensor, right: Tensor, pairs: KernelMap, transposed: bool) -> Tensor:
    """(offsets, c_left, c_right): ``left[source].T @ right[target]`` over each offset's pairs."""
    out = left.new_zeros((pairs.volume, left.shape[1], right.shape[1]))
    together = _together(pairs, transposed, max(left.shape[1], right.shape[1]))
    if together is not None:
        source, target, offsets, sizes = together
        if pairs.mirrored:
            torch.mm(left.T, right, out=out[pairs.volume // 2])
        rows = left.index_select(0, source).split(sizes)
        others = right.index_select(0, target).split(sizes)
        into = out.unbind()
        for offset, a, b in zip(offsets, rows, others, strict=True):
            torch.mm(a.T, b, out=into[offset])
        return out
    for offset in range(pairs.volume):
        if pairs.is_identity(offset):
            torch.mm(left.T, right, out=out[offset])
            continue
        width = max(left.shape[1], right.shape[1])
        for source, target in _chunks(pairs, offset, transposed, width):
            out[offset].addmm_(left.index_select(0, source).T, right.index_select(0, target))
    return out
