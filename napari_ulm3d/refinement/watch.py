"""Report progress within a network, and stop it between layers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from napari_ulm3d.sparse import InverseConv, SparseConv, SparseTransposedConv, SubmanifoldConv

__all__ = ["watched"]

_CONVOLUTIONS = (InverseConv, SparseConv, SparseTransposedConv, SubmanifoldConv)


@contextmanager
def watched(network: nn.Module, at: Callable[[float], None]) -> Iterator[None]:
    """Call `at` before each convolution with the share of them done; its exceptions propagate.

    A loaded network may serve several threads; only the current one is watched.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, _CONVOLUTIONS)]
    mine, done = threading.get_ident(), 0

    def before(*_: Any) -> None:
        nonlocal done
        if threading.get_ident() == mine:
            at(min(1.0, done / max(1, len(layers))))
            done += 1

    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
