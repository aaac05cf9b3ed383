"""Memory and time of a refinement, estimated before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_ulm3d.networks.volumes.config import FEATURES, VolumeNetConfig
from napari_ulm3d.refinement.refined import Task

__all__ = ["RefiningCost", "refining_cost"]

# Measured by `python -m benchmarks.vessels scaling` on 2 cores, x86-64, without a GPU: voxels
# processed per non-empty voxel, bytes per processed voxel and channel, and seconds per
# multiply-add.
_CONSIDERED = {"complete": 9.0, "superres": 9.0, "segment": 1.0}
_BYTES = 65.0
_SECONDS = 7e-10
_OVERHEAD_MB = 60.0


@dataclass(frozen=True)
class RefiningCost:
    """Expected cost of a refinement, within about a factor of two.

    Attributes
    ----------
    voxels
        Number of non-empty voxels.
    memory_mb, seconds
        Cost of the sparse network.
    dense_mb
        Memory that the same network would need on every voxel of the grid.
    """

    voxels: int
    memory_mb: float
    seconds: float
    dense_mb: float

    def text(self) -> str:
        """The cost in words."""
        return (
            f"{self.voxels:,} non-empty voxels. About {_memory(self.memory_mb)} and "
            f"{_time(self.seconds)}; a dense network would take {_memory(self.dense_mb)}."
        )


def refining_cost(
    voxels: int, shape: tuple[int, int, int], task: Task, network: VolumeNetConfig, factor: int = 1
) -> RefiningCost:
    """Expected cost of a refinement on a CPU.

    Parameters
    ----------
    voxels
        Number of non-empty voxels on the working grid.
    shape
        Shape of the working grid.
    network
        Size of the network.
    factor
        superres: ratio of input to output voxel size.
    """
    channels = network.channels[0]
    size = math.prod(shape)
    finer = factor if task == "superres" else 1
    # Vessels are lines: twice the resolution gives three to four times the voxels, not eight.
    considered = min(_CONSIDERED[task] * voxels, size) * finer**2
    width = channels + len(FEATURES)
    work = considered * 27 * width * channels * (network.convolutions + 1)
    dense = size * finer**3 * (6 * channels) * 4 / 1e6
    return RefiningCost(
        voxels,
        _OVERHEAD_MB + considered * channels * _BYTES / 1e6,
        0.2 + work * _SECONDS,
        _OVERHEAD_MB + dense,
    )


def _memory(mb: float) -> str:
    return f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1000:.1f} GB"


def _time(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.0f} min"
