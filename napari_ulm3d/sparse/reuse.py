"""Reuse the kernel maps of a window for the next one with the same voxels."""

from __future__ import annotations

import threading
from collections.abc import Hashable

import torch

from napari_ulm3d.sparse.coordinates import Coordinates

__all__ = ["Reuse"]


class Reuse(threading.local):
    """The last voxels of each kind of window, per thread.

    Maps take memory, so they are kept only if two consecutive windows have the same number of
    voxels. Windows with different voxels hardly ever do, so comparisons are rare too.
    """

    def __init__(self) -> None:
        self._sizes: dict[Hashable, tuple[object, ...]] = {}
        self._kept: dict[Hashable, Coordinates] = {}

    def known(self, kind: Hashable, coordinates: Coordinates) -> Coordinates:
        """The cached voxels with their maps if they are equal to these, otherwise these."""
        c = coordinates
        size = (len(c), c.shape, c.batch_size, c.stride, c.device)
        if self._sizes.get(kind) != size:
            self._sizes[kind] = size
            self._kept.pop(kind, None)
            return c
        kept = self._kept.get(kind)
        if kept is not None and torch.equal(kept.indices, c.indices):
            return kept
        self._kept[kind] = c
        return c
