"""Sparse convolution in plain PyTorch for a GPU: gather all neighbours, then one product.

The rows for all offsets are gathered side by side, with zeros where there is no neighbour,
and multiplied by the whole kernel at once. Unlike the lists of `backend_torch`, this multiplies
zeros too, but needs two kernel launches instead of hundreds. Results are reproducible.
The gathered rows are not kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_ulm3d.sparse.kernel_maps import KernelMap

__all__ = ["GATHERED_BYTES", "convolve_tables"]

GATHERED_BYTES = 2**29
"""Maximum memory for gathered rows (but at least one voxel is gathered)."""


def convolve_tables(
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
        ctx.save_for_backward(features, weight)
        ctx.pairs, ctx.transposed = pairs, transposed
        return _apply(features, weight.flatten(1), bias, pairs.table(transposed))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_features = grad_weight = None
        if needs_features:
            turned = weight.permute(2, 1, 0).flatten(1)
            grad_features = _apply(grad, turned, None, ctx.pairs.table(not ctx.transposed))
        if needs_weight:
            grad_weight = torch.zeros_like(weight).flatten(1)
            for rows, gathered in _gathered(features, ctx.pairs.table(ctx.transposed)):
                grad_weight.addmm_(grad[rows].T, gathered)
            grad_weight = grad_weight.view_as(weight)
        return grad_features, grad_weight, grad.sum(0) if needs_bias else None, None, None


def _apply(features: Tensor, weight: Tensor, bias: Tensor | None, table: Tensor) -> Tensor:
    """Output rows; weight is (c_out, offsets * c_in)."""
    parts = []
    for _, gathered in _gathered(features, table):
        parts.append(gathered @ weight.T if bias is None else torch.addmm(bias, gathered, weight.T))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _gathered(features: Tensor, table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, offsets * c_in) for a chunk of targets at a time, at least once."""
    ended = torch.cat([features, features.new_zeros((1, features.shape[1]))])
    width = table.shape[1] * features.shape[1]
    step = max(1, GATHERED_BYTES // max(1, width * features.element_size()))
    for begin in range(0, max(1, len(table)), step):
        part = table[begin : begin + step]
        rows = ended.index_select(0, part.flatten())
        yield slice(begin, begin + step), rows.view(len(part), width)
