"""In which form neighbours are kept: lists of pairs for a CPU, a table for a GPU.

A CPU works through the pairs of one offset after the other, which leaves out every neighbour that
is missing. A GPU would spend its time on launching those steps and on waiting to hear how long
each list is; there a table of all neighbours, the missing ones marked, serves a convolution in one
gather and one product, and is made without a wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["tables_everywhere", "uses_tables"]

_everywhere = False


def uses_tables(device: torch.device) -> bool:
    """Whether neighbours are kept as tables on a device."""
    return _everywhere or device.type != "cpu"


@contextmanager
def tables_everywhere() -> Iterator[None]:
    """Tables on the CPU too within it, in all threads: to try there what a GPU would do."""
    global _everywhere
    before, _everywhere = _everywhere, True
    try:
        yield
    finally:
        _everywhere = before
