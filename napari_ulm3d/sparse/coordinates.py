"""The voxels of a sparse tensor, and the coarser and finer grids derived from them.

Coordinates are packed into one int64 key per voxel. Rows are always sorted by key, so that a
look-up is a search or a merge of sorted lists. Every set caches the kernel maps and grids
derived from it, which all layers on it share (the coordinate manager of Choy et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.forms import uses_tables

__all__ = ["Coordinates", "pack", "pack_all", "unpack"]

T = TypeVar("T")


class Coordinates:
    """Sorted, unique voxel coordinates on one grid, with the maps derived from them.

    Two tensors share maps if they share this object; it compares by identity.

    Parameters
    ----------
    indices
        (n, 1 + d) int32: batch, then the grid's axes; sorted in that order, without duplicates.
    shape
        (d,) length of the grid's axes.
    batch_size
        Number of samples.
    stride
        Size of a voxel of this grid in voxels of the network's input, by axis: 2 after
        pooling by two, 1/2 after up-sampling by two.
    """

    def __init__(
        self,
        indices: Tensor,
        shape: Sequence[int],
        batch_size: int,
        stride: Sequence[Fraction | int],
    ) -> None:
        self.indices = indices
        self.shape = tuple(int(n) for n in shape)
        self.batch_size = int(batch_size)
        self.stride = tuple(Fraction(s) for s in stride)
        self._made: dict[Any, Any] = {}
        self._related: WeakKeyDictionary[Coordinates, dict[Any, Any]] = WeakKeyDictionary()

    @classmethod
    def create(
        cls,
        indices: Tensor,
        shape: Sequence[int],
        batch_size: int = 1,
        stride: Sequence[Fraction | int] | None = None,
    ) -> tuple[Coordinates, Tensor | None]:
        """Check and sort a list of coordinates.

        Parameters
        ----------
        indices
            (n, 1 + d) integers: batch, then the grid's axes, in any order.
        shape, batch_size, stride
            As in the class; the default stride is 1.

        Returns
        -------
        coordinates : Coordinates
        order : Tensor or None
            (n,) rows of `indices` in the order of the result; None if they were sorted.

        Raises
        ------
        ConfigError
            A coordinate is outside the grid, a voxel occurs twice, or sizes do not match.
        """
        shape = tuple(int(n) for n in shape)
        if indices.ndim != 2 or indices.shape[1] != 1 + len(shape) or indices.is_floating_point():
            raise ConfigError(
                f"Coordinates of shape {tuple(indices.shape)} and type {indices.dtype} do not "
                f"match a grid of {len(shape)} axes. Give integers (n, {1 + len(shape)}), batch "
                "first."
            )
        if batch_size < 1 or any(n < 1 for n in shape):
            raise ConfigError(
                f"A grid of {shape} with batch size {batch_size} is empty. All sizes must be 1 or "
                "more."
            )
        order = _sorting(indices, shape, batch_size)
        if order is not None:
            indices = indices[order]
        made = cls(
            indices.to(torch.int32).contiguous(), shape, batch_size, stride or [1] * len(shape)
        )
        return made, order

    def to(self, device: torch.device | str) -> Coordinates:
        """The same voxels on another device; maps are rebuilt there."""
        device = torch.device(device)
        if device == self.device:
            return self
        moved = self.indices.to(device, non_blocking=True)
        return Coordinates(moved, self.shape, self.batch_size, self.stride)

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        stride = ", ".join(str(s) for s in self.stride)
        return (
            f"Coordinates({len(self)} voxels, shape={self.shape}, batch={self.batch_size}, "
            f"stride=({stride}))"
        )

    @property
    def ndim(self) -> int:
        """Number of the grid's axes, without the batch."""
        return len(self.shape)

    @property
    def device(self) -> torch.device:
        return self.indices.device

    def keys(self) -> Tensor:
        """(n,) int64 keys of the rows on this grid, ascending."""
        return self.remember("keys", self._keys)

    def _keys(self) -> Tensor:
        if not uses_tables(self.device):
            return pack(self.indices, self.shape, self.batch_size)
        weights = [math.prod(self.shape[a + 1 :]) for a in range(self.ndim)]
        return pack_all(self.indices, weights, self.shape, self.batch_size)

    def remember(self, key: object, make: Callable[[], T]) -> T:
        """The object cached under this key; created by `make` if there is none."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def has(self, key: object) -> bool:
        """Whether an object is cached under this key."""
        return key in self._made

    def remember_with(self, other: Coordinates, key: object, make: Callable[[], T]) -> T:
        """Like `remember`, for this set and another; dropped together with the other."""
        related = self._related.setdefault(other, {})
        if key not in related:
            related[key] = make()
        return related[key]

    def same_voxels(self, other: Coordinates) -> bool:
        """Whether both contain the same voxels of the same grid."""
        return self is other or (
            self.same_grid(other)
            and len(self) == len(other)
            and torch.equal(self.indices, other.indices)
        )

    def same_grid(self, other: Coordinates) -> bool:
        """Whether both have the same grid, batch and device."""
        return (self.shape, self.batch_size, self.stride, self.device) == (
            other.shape,
            other.batch_size,
            other.stride,
            other.device,
        )

    def from_keys(self, keys: Tensor) -> Coordinates:
        """The voxels of this grid with the given ascending keys."""
        indices = unpack(keys, self.shape)
        return Coordinates(indices, self.shape, self.batch_size, self.stride)

    def coarsen(
        self,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        shape: tuple[int, ...],
    ) -> Coordinates:
        """The voxels c that a strided convolution reaches: f = stride c + o - padding.

        f is any of these voxels and o any offset 0 <= o < kernel. The condition is separable,
        so the axes are treated one after the other.
        """

        def make() -> Coordinates:
            def spread(column: Tensor, a: int) -> list[tuple[Tensor, Tensor]]:
                first = torch.div(column + padding[a], stride[a], rounding_mode="floor")
                reached = []
                for j in range(-(-kernel[a] // stride[a])):
                    c = first - j
                    end = stride[a] * c - padding[a] + kernel[a]
                    reached.append((c, (c >= 0) & (c < shape[a]) & (end > column)))
                return reached

            step = [s * k for s, k in zip(self.stride, stride, strict=True)]
            return self._spread(spread, shape, step)

        return self.remember(("coarsen", kernel, stride, padding, shape), make)

    def refine(
        self,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        shape: tuple[int, ...],
    ) -> Coordinates:
        """The voxels that a transposed convolution reaches: all f = stride c + o - padding."""

        def make() -> Coordinates:
            def spread(column: Tensor, a: int) -> list[tuple[Tensor, Tensor]]:
                reached = []
                for o in range(kernel[a]):
                    f = column * stride[a] + (o - padding[a])
                    reached.append((f, (f >= 0) & (f < shape[a])))
                return reached

            step = [s / k for s, k in zip(self.stride, stride, strict=True)]
            return self._spread(spread, shape, step)

        return self.remember(("refine", kernel, stride, padding, shape), make)

    def _spread(
        self,
        spread: Callable[[Tensor, int], list[tuple[Tensor, Tensor]]],
        shape: tuple[int, ...],
        stride: list[Fraction],
    ) -> Coordinates:
        columns = [column.long() for column in self.indices.unbind(1)]
        extents = list(self.shape)
        for a in range(self.ndim):
            extents[a] = shape[a]
            parts = []
            for column, valid in spread(columns[a + 1], a):
                moved = [*columns]
                moved[a + 1] = column
                parts.append(_pack_columns([m[valid] for m in moved], extents, self.batch_size))
            keys = parts[0] if len(parts) == 1 else torch.cat(parts)
            # Duplicates multiply with each axis; where there can be none, sort only at the end.
            if len(parts) > 1 or a == self.ndim - 1:
                keys = torch.unique(keys)
            columns = _unpack_columns(keys, extents)
        indices = torch.stack(columns, dim=1).to(torch.int32)
        return Coordinates(indices, shape, self.batch_size, stride)


def _sorting(indices: Tensor, shape: tuple[int, ...], batch_size: int) -> Tensor | None:
    """The order that sorts coordinates, None if they are sorted; rejects invalid ones."""
    limits = (batch_size, *shape)
    if not len(indices):
        return None
    order: Tensor | None
    if uses_tables(indices.device):  # sort without asking whether it is needed: one synchronization
        keys, order = torch.sort(pack(indices, shape, batch_size))
        rows = torch.arange(len(order), device=order.device)
        flags = torch.stack([(keys[1:] == keys[:-1]).any(), (order != rows).any()])
        told = torch.cat([indices.amin(0), indices.amax(0), flags.to(indices.dtype)]).tolist()
        _check_inside(told[: len(limits)], told[len(limits) : -2], limits)
        doubled, unsorted = told[-2:]
    else:
        _check_inside(indices.amin(0).tolist(), indices.amax(0).tolist(), limits)
        keys, order = pack(indices, shape, batch_size), None
        doubled, unsorted = False, bool((keys[1:] <= keys[:-1]).any())
        if unsorted:
            keys, order = torch.sort(keys)
            doubled = bool((keys[1:] == keys[:-1]).any())
    if doubled:
        raise ConfigError("A voxel is listed twice. Sum or remove the duplicates first.")
    return order if unsorted else None


def _check_inside(low: list[int], high: list[int], limits: tuple[int, ...]) -> None:
    if min(low) < 0 or any(h >= n for h, n in zip(high, limits, strict=True)):
        raise ConfigError(
            f"Coordinates from {low} to {high} exceed the grid (batch, *shape) = {limits}. "
            "Crop them, or give the correct shape."
        )


def pack(indices: Tensor, extents: Sequence[int], batch_size: int) -> Tensor:
    """One int64 key per row of (n, 1 + d) coordinates; keys sort like the rows.

    Raises
    ------
    ConfigError
        The grid has too many voxels for an int64.
    """
    return _pack_columns([column.long() for column in indices.unbind(1)], extents, batch_size)


def pack_all(
    indices: Tensor, weights: Sequence[int], extents: Sequence[int], batch_size: int
) -> Tensor:
    """Like `pack`, in few kernel launches: weighted sum of the coordinates and the batch.

    Parameters
    ----------
    indices
        (n, 1 + d) coordinates.
    weights
        (d,) weights of the axes; in `pack` they are the products of the following extents.
    extents, batch_size
        As in `pack`.
    """
    _check_size(extents, batch_size)
    every = torch.tensor([math.prod(extents), *weights], dtype=torch.int64)
    return (indices * every.to(indices.device)).sum(1)


def unpack(keys: Tensor, extents: Sequence[int]) -> Tensor:
    """(n, 1 + d) int32 coordinates of packed keys."""
    return torch.stack(_unpack_columns(keys, extents), dim=1).to(torch.int32)


def _pack_columns(columns: list[Tensor], extents: Sequence[int], batch_size: int) -> Tensor:
    _check_size(extents, batch_size)
    key = columns[0].clone()
    for column, extent in zip(columns[1:], extents, strict=True):
        key.mul_(extent).add_(column)
    return key


def _check_size(extents: Sequence[int], batch_size: int) -> None:
    if batch_size * math.prod(extents) >= 2**63:
        raise ConfigError(
            f"A grid of {tuple(extents)} with batch size {batch_size} has too many voxels to "
            "index. Cut it into windows."
        )


def _unpack_columns(keys: Tensor, extents: Sequence[int]) -> list[Tensor]:
    columns = []
    for extent in reversed(extents):
        rest = torch.div(keys, extent, rounding_mode="floor")
        columns.append(keys - rest * extent)
        keys = rest
    return [keys, *reversed(columns)]
