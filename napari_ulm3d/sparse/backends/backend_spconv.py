"""Sparse convolution by spconv on CUDA, with our own kernel maps.

spconv receives our pairs, so coordinates, row order and parameters are those of the torch
backend. Kernels of up to 128 offsets use its implicit matrix product (`implicit_gemm`),
which reads neighbours in place and skips missing ones; larger ones use its
gather, product and scatter (`Native`), which has no limit. Source:
https://github.com/traveller59/spconv, version 2.3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_ulm3d.errors import BackendError
from napari_ulm3d.sparse.kernel_maps import KernelMap

__all__ = ["MOST_OFFSETS", "convolve_spconv"]

MOST_OFFSETS = 128
"""Limit of the implicit product, whose masks are four words of 32 bits."""

_WORD = 32


def convolve_spconv(
    features: Tensor, weight: Tensor, bias: Tensor | None, pairs: KernelMap, transposed: bool
) -> Tensor:
    """As `napari_ulm3d.sparse.backends.backend.convolve`, with weights (c_out, offsets, c_in).

    Raises
    ------
    BackendError
        The features are neither float32 nor float16.
    """
    if features.dtype not in (torch.float32, torch.float16):
        raise BackendError(
            f"spconv supports float32 and float16, not {features.dtype}. Use the torch backend."
        )
    if features.device.type != "cpu" and pairs.volume <= MOST_OFFSETS:
        out = _convolve_implicit(features, weight, pairs, transposed)
    else:
        out = _convolve_native(features, weight, pairs, transposed)
    return out if bias is None else out + bias


def _nothing(features: Tensor, weight: Tensor, n_target: int) -> Tensor:
    """Zeros that still depend on the parameters, so that a backward pass works."""
    return features.new_zeros((n_target, weight.shape[0])) + 0 * weight.sum()


# --- implicit matrix product ------------------------------------------------------------------


def _convolve_implicit(
    features: Tensor, weight: Tensor, pairs: KernelMap, transposed: bool
) -> Tensor:
    from spconv.pytorch import functional

    n_target = pairs.n_fine if transposed else pairs.n_coarse
    if not n_target or not len(features):
        return _nothing(features, weight, n_target)
    train = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
    forward, mask, order = _neighbours(pairs, transposed)
    backward, mask_back, order_back = (
        _neighbours(pairs, not transposed) if train else (torch.Tensor(),) * 3
    )
    out: Tensor = functional.implicit_gemm(
        features.contiguous(),
        weight.contiguous(),
        forward,
        backward,
        [mask],
        [mask_back],
        [order],
        [order_back],
        n_target,
        [np.array([0xFFFFFFFF], np.uint32)],
        train,
        False,  # not submanifold: the reversed neighbours for the backward pass are given
    )
    return out


def _neighbours(pairs: KernelMap, transposed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A table in spconv's format.

    (offsets, targets) int32 source rows, -1 for none; (targets, words) int32 with one bit
    per existing neighbour; and the targets sorted by these bits, so that targets with the same
    neighbours are computed together.
    """
    key = f"spconv implicit {transposed}"
    if key not in pairs.cache:
        table = pairs.table(transposed)
        found = table != (pairs.n_coarse if transposed else pairs.n_fine)
        n_words = -(-pairs.volume // _WORD)
        bits = found.new_zeros((len(table), n_words * _WORD), dtype=torch.int64)
        bits[:, : pairs.volume] = found
        shifts = torch.arange(_WORD, device=table.device)
        words = (bits.view(-1, n_words, _WORD) << shifts).sum(2)
        order = torch.arange(len(table), device=table.device)
        for word in range(n_words):  # the last word is the most significant
            order = order[torch.argsort(words[:, word].index_select(0, order), stable=True)]
        # The same 32 bits as a signed integer.
        signed = torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)
        rows = table.where(found, -1).T.contiguous()
        pairs.cache[key] = rows, signed.contiguous(), order.to(torch.int32)
    return pairs.cache[key]


# --- gather, product and scatter --------------------------------------------------------------


def _convolve_native(
    features: Tensor, weight: Tensor, pairs: KernelMap, transposed: bool
) -> Tensor:
    n_target = pairs.n_fine if transposed else pairs.n_coarse
    centre = pairs.volume // 2 if pairs.mirrored else None
    # The centre pairs every row with itself: one product without a list of pairs.
    parts = [] if centre is None else [features @ weight[:, centre].T]
    # spconv raises on an empty list of pairs.
    if pairs.lists.starts[-1]:
        parts.append(_convolve_pairs(features, weight, pairs, n_target, transposed))
    if not parts:
        parts.append(_nothing(features, weight, n_target))
    return sum(parts[1:], start=parts[0])


def _convolve_pairs(
    features: Tensor, weight: Tensor, pairs: KernelMap, n_target: int, transposed: bool
) -> Tensor:
    from spconv.core import ConvAlgo
    from spconv.pytorch import functional

    table, counts = _spconv_pairs(pairs, transposed)
    return functional.indice_conv(
        features.contiguous(), weight.contiguous(), table, counts, n_target, ConvAlgo.Native
    )


def _spconv_pairs(pairs: KernelMap, transposed: bool) -> tuple[Tensor, Tensor]:
    """The lists in spconv's format: (2, offsets, max pairs) int32 rows, and (offsets,) counts.

    The first plane contains source rows, the second target rows; lists are padded with -1. The
    centre of a mirrored map is empty.
    """
    key = f"spconv native {transposed}"
    if key not in pairs.cache:
        lists = [
            None if pairs.is_identity(offset) else pairs.pairs(offset, transposed)
            for offset in range(pairs.volume)
        ]
        counts = [0 if part is None else len(part[0]) for part in lists]
        table = torch.full(
            (2, pairs.volume, max(counts)), -1, dtype=torch.int32, device=pairs.lists.fine.device
        )
        for offset, part in enumerate(lists):
            if part is not None:
                table[0, offset, : counts[offset]] = part[0]
                table[1, offset, : counts[offset]] = part[1]
        pairs.cache[key] = table, torch.tensor(counts, dtype=torch.int32, device=table.device)
    return pairs.cache[key]
