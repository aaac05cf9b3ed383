"""Maps of one window used again for the next one that holds the same voxels."""

from __future__ import annotations

import threading
from collections.abc import Hashable

import torch

from napari_ulm3d.sparse.coordinates import Coordinates

__all__ = ["Reuse"]


class Reuse(threading.local):
    """The last voxels of each kind of window, of each thread.

    Maps take memory, so they are kept only once two windows in a row had as many voxels. Windows
    of different voxels hardly ever do, so that there is also nothing to compare.
    """

    def __init__(self) -> None:
        self._sizes: dict[Hashable, tuple[object, ...]] = {}
        self._kept: dict[Hashable, Coordinates] = {}

    def known(self, kind: Hashable, coordinates: Coordinates) -> Coordinates:
        """The same voxels with all that was made of them before, else these."""
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
