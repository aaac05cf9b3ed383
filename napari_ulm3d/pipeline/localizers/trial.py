"""Synthetic bubbles to time a network."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from napari_ulm3d.sparse_frames import SparseFrames

__all__ = ["SHAPE", "bubbles_in", "quickest"]

SHAPE = (8, 24, 24, 24)
"""Frames and voxels of the timed window."""

_OCCUPANCY = 0.08


def bubbles_in(shape: tuple[int, ...], *, still: bool = False) -> SparseFrames:
    """Kept voxels (t, z, y, x) in clusters, as for real bubbles: unlike scattered voxels, they have
    neighbours, which cost time.

    Parameters
    ----------
    still
        Use the same positions in every frame.
    """
    from scipy.ndimage import maximum_filter

    rng = np.random.default_rng(0)
    seeds = rng.random((1, *shape[1:]) if still else shape) < _OCCUPANCY / 27
    seeds[(0, *(n // 2 for n in shape[1:]))] = True
    places = np.broadcast_to(maximum_filter(seeds, (1, 3, 3, 3)), shape)
    kept = np.argwhere(places).astype(np.int32)
    values = (rng.normal(size=(len(kept), 2)) @ [1, 1j]).astype(np.complex64)
    return SparseFrames(kept, values, shape)  # type: ignore[arg-type]


def quickest(call: Callable[[], None], device: str, times: int = 2) -> float:
    """Time in seconds of the fastest of several calls."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        if device == "cuda":
            import torch

            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return min(taken)
