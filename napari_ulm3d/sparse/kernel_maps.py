"""Kernel maps: which input row meets which output row under each offset of a kernel.

A fine voxel f and a coarse voxel c are a pair of offset o (0 <= o < kernel) when
``f = stride * c + o - padding``. A strided convolution reads fine and writes coarse rows, a
transposed one the reverse, so one map serves both (Choy et al. 2019). A submanifold
convolution (Graham et al. 2018) is the case stride 1 on one set of voxels: its pairs of offset
-o are those of +o turned round, so half of them is kept and the centre is no list at all.

Both key lists are sorted, so that on the CPU they are merged, in time linear in the voxels; on
other devices they are searched.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.coordinates import Coordinates, pack
from napari_ulm3d.sparse.merge import merge_pairs

__all__ = ["KernelMap", "kernel_map", "submanifold_map"]


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Pairs of fine and coarse rows, offset after offset.

    Attributes
    ----------
    fine, coarse
        (pairs,) int32 rows; within an offset both ascend, so no row comes twice.
    starts
        First pair of each kept offset, and the end: offsets are numbered in C order.
    n_fine, n_coarse
        Number of rows on each side.
    volume
        Number of offsets of the kernel.
    mirrored
        Whether only the first half of the offsets is kept (submanifold maps).
    cache
        What a backend made of this map.
    """

    fine: Tensor
    coarse: Tensor
    starts: tuple[int, ...]
    n_fine: int
    n_coarse: int
    volume: int
    mirrored: bool = False
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def n_pairs(self) -> int:
        """Pairs over all offsets, the centre's and the mirrored ones counted."""
        return 2 * self.starts[-1] + self.n_fine if self.mirrored else self.starts[-1]

    def is_identity(self, offset: int) -> bool:
        """Whether this offset joins every row with itself."""
        return self.mirrored and offset == self.volume // 2

    def pairs(self, offset: int, transposed: bool = False) -> tuple[Tensor, Tensor]:
        """(source, target) rows of an offset; of an identity, ask `is_identity` first.

        Parameters
        ----------
        offset
            0 <= offset < volume.
        transposed
            Read coarse rows and write fine ones.
        """
        if self.mirrored and offset > self.volume // 2:
            offset, transposed = self.volume - 1 - offset, not transposed
        part = slice(self.starts[offset], self.starts[offset + 1])
        fine, coarse = self.fine[part], self.coarse[part]
        return (coarse, fine) if transposed else (fine, coarse)


def submanifold_map(coordinates: Coordinates, kernel: tuple[int, ...]) -> KernelMap:
    """The map of a submanifold convolution, made once for a set of voxels and a kernel.

    Raises
    ------
    ConfigError
        A side of the kernel is even, so that it has no centre.
    """
    if any(k % 2 == 0 for k in kernel):
        raise ConfigError(f"A submanifold kernel {kernel} needs a centre: use odd sizes.")
    ones, half = (1,) * len(kernel), tuple(k // 2 for k in kernel)
    return coordinates.remember(
        ("submanifold", kernel),
        lambda: _match(coordinates, coordinates, kernel, ones, half, mirrored=True),
    )


def kernel_map(
    fine: Coordinates,
    coarse: Coordinates,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> KernelMap:
    """The map between two sets of voxels, made once and kept with them.

    Parameters
    ----------
    fine, coarse
        The two sides; ``f = stride * c + o - padding``.
    kernel, stride, padding
        By axis, (d,).
    """
    return fine.remember_with(
        coarse,
        (kernel, stride, padding),
        lambda: _match(fine, coarse, kernel, stride, padding, mirrored=False),
    )


def _match(
    fine: Coordinates,
    coarse: Coordinates,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    mirrored: bool,
) -> KernelMap:
    volume = math.prod(kernel)
    kept = volume // 2 if mirrored else volume
    # Axes grow by a margin that no voxel occupies: what leaves the grid then meets nothing.
    extents = []
    for a in range(fine.ndim):
        reach = stride[a] * (coarse.shape[a] - 1) + kernel[a] - padding[a]
        extents.append(max(fine.shape[a], reach) + padding[a])
    fine_keys = pack(fine.indices, extents, fine.batch_size)
    if mirrored:
        base = fine_keys.clone()
    else:
        scaled = coarse.indices.long()
        scaled[:, 1:] *= torch.tensor(stride, device=coarse.device)
        base = pack(scaled, extents, coarse.batch_size)
    weights = [math.prod(extents[a + 1 :]) for a in range(len(extents))]
    base -= sum(p * w for p, w in zip(padding, weights, strict=True))
    outer = np.array(
        [
            sum(o * w for o, w in zip(offset, weights, strict=False))
            for offset in itertools.product(*(range(k) for k in kernel[:-1]))
        ],
        np.int64,
    )
    find = _merge if fine.device.type == "cpu" else _search
    fine_rows, coarse_rows, starts = find(fine_keys, base, outer, kernel[-1], kept)
    return KernelMap(fine_rows, coarse_rows, starts, len(fine), len(coarse), volume, mirrored)


def _merge(
    fine_keys: Tensor, base: Tensor, outer: np.ndarray, width: int, kept: int
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    fine, coarse, starts = merge_pairs(fine_keys.numpy(), base.numpy(), outer, width, kept)
    return torch.from_numpy(fine), torch.from_numpy(coarse), tuple(starts.tolist())


def _search(
    fine_keys: Tensor, base: Tensor, outer: np.ndarray, width: int, kept: int
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """As `_merge`, by binary search; for devices that numba does not compile for."""
    fine: list[Tensor] = []
    coarse: list[Tensor] = []
    starts = [0]
    n = len(fine_keys)
    for offset in range(kept):
        rows = torch.empty(0, dtype=torch.int64, device=base.device)
        found = rows
        if n:
            wanted = base + (int(outer[offset // width]) + offset % width)
            at = torch.searchsorted(fine_keys, wanted).clamp_(max=n - 1)
            rows = torch.nonzero(fine_keys[at] == wanted).flatten()
            found = at[rows]
        fine.append(found.to(torch.int32))
        coarse.append(rows.to(torch.int32))
        starts.append(starts[-1] + len(rows))
    empty = torch.empty(0, dtype=torch.int32, device=base.device)
    return torch.cat([empty, *fine]), torch.cat([empty, *coarse]), tuple(starts)
