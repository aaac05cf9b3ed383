"""What a refinement will take, told before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.networks.volumes.config import (
    FEATURES,
    SuperResolutionNetConfig,
    VolumeNetConfig,
)
from napari_ulm3d.refinement.features import MapFeatures

__all__ = ["RefiningCost", "refining_cost"]

_FLOAT = 4
# Tensors of a scale that are alive at once: what is read, what is written, sums and keys
# (measured: python -m benchmarks.vessels cost).
_ALIVE_SPARSE = 9
_ALIVE_DENSE = 4
# Voxels considered at the finest scale over those measured, where most of them are vessels.
_GROWTH = {"complete": 6.0, "superres": 2.0, "segment": 1.0}
# Multiply-adds a second of one core, of small sparse and of large dense matrices.
_RATE_SPARSE, _RATE_DENSE = 2e9, 1e10
_FIXED_BYTES = 60 << 20


@dataclass(frozen=True)
class RefiningCost:
    """Estimates, right within a factor of about two.

    Attributes
    ----------
    voxels
        Measured voxels that the network reads.
    n_bytes, seconds
        Of the sparse network.
    dense_bytes, dense_seconds
        Of a dense network of the same levels on the whole grid, for comparison.
    """

    voxels: int
    n_bytes: int
    seconds: float
    dense_bytes: int
    dense_seconds: float


def refining_cost(features: MapFeatures, task: str, config: VolumeNetConfig) -> RefiningCost:
    """Memory and time of one core that a network needs for a map.

    Parameters
    ----------
    features
        The map on its working grid.
    task
        As of `refine`.
    config
        The network's sizes.
    """
    occupied = [float(n) for n in _occupied(features.index, config.levels)]
    volume = [features.grid.size / 8**k for k in range(config.levels + 1)]
    growth = _GROWTH.get(task, 1.0)
    considered = [min(v, growth * n) for n, v in zip(occupied, volume, strict=True)]
    channels = list(config.channels)
    if isinstance(config, SuperResolutionNetConfig):
        # A measured coarse voxel holds a thread of vessel: twice the voxels a doubling, times
        # the eight children that are looked at.
        for k, width in enumerate(config.fine_channels, start=1):
            considered.insert(0, min(features.grid.size * 8.0**k, 8 * 3.0**k * occupied[0]))
            volume.insert(0, features.grid.size * 8.0**k)
            channels.insert(0, width)
    rows = [(n, c) for n, c in zip(considered, channels, strict=True)]
    dense = [(v, c) for v, c in zip(volume, channels, strict=True)]
    layers = 3 + 2 * config.convolutions

    def work(sizes: list[tuple[float, int]], neighbours: float) -> float:
        return sum(n * neighbours * c * c * layers for n, c in sizes)

    def memory(sizes: list[tuple[float, int]], alive: float) -> int:
        most = max(n * max(c, len(FEATURES)) for n, c in sizes)
        return int(most * _FLOAT * alive + sum(n * c * _FLOAT for n, c in sizes))

    return RefiningCost(
        voxels=len(features),
        n_bytes=_FIXED_BYTES + memory(rows, _ALIVE_SPARSE) + int(8 * 27 / 2 * max(considered)),
        seconds=work(rows, 10.0) / _RATE_SPARSE + 0.2,
        dense_bytes=_FIXED_BYTES + memory(dense, _ALIVE_DENSE),
        dense_seconds=work(dense, 27.0) / _RATE_DENSE,
    )


def _occupied(index: NDArray[np.int32], levels: int) -> list[int]:
    counts, places = [len(index)], index
    for _ in range(levels):
        places = np.unique(places // 2, axis=0) if len(places) else places
        counts.append(len(places))
    return counts
