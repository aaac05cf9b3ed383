"""Kernel maps: pairs of input and output rows for each offset of a kernel.

A fine voxel f and a coarse voxel c form a pair of offset o (0 <= o < kernel) if
``f = stride * c + o - padding``. A strided convolution reads fine and writes coarse rows, a
transposed one the reverse, so one map serves both (Choy et al. 2019). A submanifold
convolution (Graham et al. 2018) is the case of stride 1 on one set of voxels: its pairs of offset
-o are those of +o reversed, so only half of them are stored, and the centre needs no list.

Both key lists are sorted. On the CPU they are merged into lists of pairs, in time linear
in the number of voxels. On other devices all offsets are searched at once, which gives a table of
neighbours without synchronizing with the device (see `sparse.forms`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.coordinates import Coordinates, pack, pack_all
from napari_ulm3d.sparse.forms import uses_tables
from napari_ulm3d.sparse.merge import merge_pairs

__all__ = ["KernelMap", "PairLists", "kernel_map", "submanifold_map"]

# Neighbours searched at once: the search needs 32 bytes for each.
_SEARCHED = 2**25


@dataclass(frozen=True)
class PairLists:
    """Pairs of fine and coarse rows, offset by offset.

    Attributes
    ----------
    fine, coarse
        (pairs,) int32 rows; within an offset both ascend, so no row occurs twice.
    starts
        First pair of each stored offset, and the end. Offsets are in C order; a mirrored map stores
        only their first half.
    """

    fine: Tensor
    coarse: Tensor
    starts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Pairs of fine and coarse rows for each offset of a kernel, as lists or as a table.

    One form is built first; the other is derived from it on demand.

    Attributes
    ----------
    n_fine, n_coarse
        Number of rows on each side.
    volume
        Number of offsets of the kernel.
    mirrored
        Whether it pairs a set of voxels with itself (submanifold maps): the pairs of an offset are
        those of the opposite one reversed.
    made
        `PairLists`, or the table with a row per coarse voxel (see `table`).
    cache
        Data that a backend derived from this map.
    """

    n_fine: int
    n_coarse: int
    volume: int
    mirrored: bool
    made: PairLists | Tensor
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def lists(self) -> PairLists:
        """The lists; deriving them from a table needs two synchronizations with the device."""
        return self.made if isinstance(self.made, PairLists) else self._listed(self.made)

    @property
    def n_pairs(self) -> int:
        """Number of pairs over all offsets, including the centre and mirrored ones."""
        listed = self.lists.starts[-1]
        return 2 * listed + self.n_fine if self.mirrored else listed

    def is_identity(self, offset: int) -> bool:
        """Whether this offset pairs every row with itself."""
        return self.mirrored and offset == self.volume // 2

    def pairs(self, offset: int, transposed: bool = False) -> tuple[Tensor, Tensor]:
        """(source, target) rows of an offset; not for an identity (see `is_identity`).

        Parameters
        ----------
        offset
            0 <= offset < volume.
        transposed
            Read coarse rows and write fine ones.
        """
        if self.mirrored and offset > self.volume // 2:
            offset, transposed = self.volume - 1 - offset, not transposed
        lists = self.lists
        part = slice(lists.starts[offset], lists.starts[offset + 1])
        fine, coarse = lists.fine[part], lists.coarse[part]
        return (coarse, fine) if transposed else (fine, coarse)

    def table(self, transposed: bool = False) -> Tensor:
        """(targets, volume) int32: source row for each offset, or the number of sources if none.

        Parameters
        ----------
        transposed
            Read coarse rows and write fine ones.
        """
        if transposed:
            return self._transposed_table
        return self._tabled if isinstance(self.made, PairLists) else self.made

    @cached_property
    def _tabled(self) -> Tensor:
        shape = (self.n_coarse, self.volume)
        table = torch.full(shape, self.n_fine, dtype=torch.int32, device=self.lists.fine.device)
        for offset in range(self.volume):
            if self.is_identity(offset):
                table[:, offset] = torch.arange(self.n_fine, device=table.device)
            else:
                source, target = self.pairs(offset)
                table[target.long(), offset] = source
        return table

    @cached_property
    def _transposed_table(self) -> Tensor:
        table = self.table()
        if self.mirrored:
            return table.flip(1).contiguous()
        # Every pair is unique; entries without a neighbour go to an extra row, which is cut off.
        shape = (self.n_fine + 1, self.volume)
        turned = torch.full(shape, self.n_coarse, dtype=torch.int32, device=table.device)
        rows = torch.arange(self.n_coarse, dtype=torch.int32, device=table.device)
        turned.scatter_(0, table.long(), rows[:, None].expand(-1, self.volume))
        return turned[: self.n_fine]

    def _listed(self, table: Tensor) -> PairLists:
        kept = self.volume // 2 if self.mirrored else self.volume
        by_offset = table[:, :kept].T
        found = by_offset != self.n_fine
        ends = torch.cumsum(found.sum(1), 0)
        offset, coarse = found.nonzero(as_tuple=True)
        fine = by_offset[offset, coarse]
        return PairLists(fine, coarse.to(torch.int32), (0, *ends.tolist()))


def submanifold_map(coordinates: Coordinates, kernel: tuple[int, ...]) -> KernelMap:
    """The map of a submanifold convolution, cached for a set of voxels and a kernel.

    Raises
    ------
    ConfigError
        A kernel size is even, so that the kernel has no centre.
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
    """The map between two sets of voxels, cached with them.

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
    # Pad the axes by an empty margin, so that offsets beyond the grid find no voxel.
    extents = []
    for a in range(fine.ndim):
        reach = stride[a] * (coarse.shape[a] - 1) + kernel[a] - padding[a]
        extents.append(max(fine.shape[a], reach) + padding[a])
    weights = [math.prod(extents[a + 1 :]) for a in range(len(extents))]
    before = sum(p * w for p, w in zip(padding, weights, strict=True))
    if uses_tables(fine.device):
        scaled = [s * w for s, w in zip(stride, weights, strict=True)]
        fine_keys = pack_all(fine.indices, weights, extents, fine.batch_size)
        base = pack_all(coarse.indices, scaled, extents, fine.batch_size) - before
        table = _search(fine_keys, base, _steps(kernel, weights))
        return KernelMap(len(fine), len(coarse), volume, mirrored, table)
    fine_keys = pack(fine.indices, extents, fine.batch_size)
    if mirrored:
        base = fine_keys.clone()
    else:
        rows = coarse.indices.long()
        rows[:, 1:] *= torch.tensor(stride, device=coarse.device)
        base = pack(rows, extents, coarse.batch_size)
    base -= before
    kept = volume // 2 if mirrored else volume
    lists = _merge(fine_keys, base, _steps(kernel[:-1], weights), kernel[-1], kept)
    return KernelMap(len(fine), len(coarse), volume, mirrored, lists)


def _steps(kernel: tuple[int, ...], weights: list[int]) -> np.ndarray:
    """Key steps of the offsets along the first axes, in C order."""
    offsets = itertools.product(*(range(k) for k in kernel))
    steps = [sum(o * w for o, w in zip(at, weights, strict=False)) for at in offsets]
    return np.array(steps, np.int64)


def _merge(fine_keys: Tensor, base: Tensor, outer: np.ndarray, width: int, kept: int) -> PairLists:
    fine, coarse, starts = merge_pairs(fine_keys.numpy(), base.numpy(), outer, width, kept)
    return PairLists(torch.from_numpy(fine), torch.from_numpy(coarse), tuple(starts.tolist()))


def _search(fine_keys: Tensor, base: Tensor, steps: np.ndarray) -> Tensor:
    """The table of ``fine_keys == base + step``, by one binary search for all offsets."""
    n, volume = len(fine_keys), len(steps)
    step = torch.from_numpy(steps).to(base.device)
    table = torch.empty((len(base), volume), dtype=torch.int32, device=base.device)
    # Values above all keys are found at the end, where nothing matches.
    ended = torch.cat([fine_keys, fine_keys.new_full((1,), torch.iinfo(torch.int64).max)])
    rows = max(1, _SEARCHED // volume)
    for begin in range(0, len(base), rows):
        wanted = base[begin : begin + rows, None] + step
        at = torch.searchsorted(fine_keys, wanted)
        found = ended[at] == wanted
        table[begin : begin + rows] = at.where(found, n)
    return table
