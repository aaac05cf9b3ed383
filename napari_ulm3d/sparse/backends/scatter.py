"""Add rows to the rows of a tensor, by a compiled loop on the CPU.

PyTorch has no operation for this alone: `index_add_` allows for duplicates, and gathering, adding and
`index_copy_` reads and writes all of it twice. Together they took a third of a convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ulm3d._caches import njit

__all__ = ["add_rows"]

_COMPILED = (torch.float32, torch.float64)


def add_rows(out: Tensor, target: Tensor, rows: Tensor) -> None:
    """``out[target[i]] += rows[i]`` for all i, in this order.

    Parameters
    ----------
    out
        (n, c), changed in place; contiguous.
    target
        (m,) integers below n, on the device of `out`.
    rows
        (m, c) of the same type.
    """
    if out.device.type == "cpu" and out.dtype in _COMPILED:
        _add_rows(out.detach().numpy(), target.numpy(), rows.detach().numpy())
    else:
        out.index_add_(0, target, rows)


@njit(cache=True, nogil=True)
def _add_rows(out: NDArray[Any], target: NDArray[Any], rows: NDArray[Any]) -> None:
    for i in range(target.size):
        to = target[i]
        for k in range(rows.shape[1]):
            out[to, k] += rows[i, k]
