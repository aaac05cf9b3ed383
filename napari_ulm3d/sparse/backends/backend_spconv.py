"""Sparse convolution by spconv on CUDA, over our own kernel maps.

Only spconv's gather, matrix product and scatter is used (its `Native` algorithm, which knows no
limit on the kernel's volume): it gets our pairs, so that coordinates, row order and parameters
are those of the torch backend. Source: https://github.com/traveller59/spconv, version 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_ulm3d.errors import BackendError
from napari_ulm3d.sparse.kernel_maps import KernelMap

__all__ = ["convolve_spconv"]


def convolve_spconv(
    features: Tensor, weight: Tensor, bias: Tensor | None, pairs: KernelMap, transposed: bool
) -> Tensor:
    """As `napari_ulm3d.sparse.backends.backend.convolve`, with weights (c_out, offsets, c_in).

    Raises
    ------
    BackendError
        The features are in double precision, which spconv does not compute.
    """
    if features.dtype not in (torch.float32, torch.float16):
        raise BackendError(
            f"spconv supports float32 and float16, not {features.dtype}. Use the torch backend."
        )
    n_target = pairs.n_fine if transposed else pairs.n_coarse
    centre = pairs.volume // 2 if pairs.mirrored else None
    # The centre joins every row with itself: one product, and no list of pairs.
    parts = [] if centre is None else [features @ weight[:, centre].T]
    # spconv raises on an empty list of pairs.
    if pairs.lists.starts[-1]:
        parts.append(_convolve_pairs(features, weight, pairs, n_target, transposed))
    if not parts:
        # Zero, but still a function of the parameters, so that a backward pass finds them.
        parts.append(features.new_zeros((n_target, weight.shape[0])) + 0 * weight.sum())
    out = sum(parts[1:], start=parts[0])
    return out if bias is None else out + bias


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
    """spconv's form of a map: (2, offsets, most pairs) int32 rows, and (offsets,) counts.

    The first plane are source, the second target rows; what is left of a list is -1. The
    centre of a mirrored map stays empty here.
    """
    key = f"spconv {transposed}"
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
