"""Storage of neighbours: lists of pairs for a CPU, a table for a GPU.

A CPU processes the pairs offset by offset, which skips missing neighbours. On a GPU, kernel
launches and waiting for the length of each list would dominate. There, a table of all neighbours,
with missing ones marked, allows a convolution in one gather and one product, and is built without
synchronization.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["tables_everywhere", "uses_tables"]

_everywhere = False


def uses_tables(device: torch.device) -> bool:
    """Whether neighbours are stored as tables on a device."""
    return _everywhere or device.type != "cpu"


@contextmanager
def tables_everywhere() -> Iterator[None]:
    """Use tables on the CPU too, in all threads, to test the code for GPUs there."""
    global _everywhere
    before, _everywhere = _everywhere, True
    try:
        yield
    finally:
        _everywhere = before
