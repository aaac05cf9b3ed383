"""Sparse convolution layers.

The weight of every layer is (c_out, *kernel, c_in), spconv's KRSC layout, and the bias (c_out,),
for all backends. ``weight.movedim(-1, 1)`` is the weight of torch's dense convolution and
``weight.movedim(-1, 0)`` that of its transposed convolution, with the same position of each
offset in the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.backends.backend import convolve
from napari_ulm3d.sparse.backends.spconv_check import Convolution
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.kernel_maps import KernelMap, kernel_map, submanifold_map
from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = ["InverseConv", "SparseConv", "SparseTransposedConv", "SubmanifoldConv"]


class _Convolution(nn.Module):
    """Base class of all convolutions.

    Parameters
    ----------
    in_channels, out_channels
        Number of input and output channels.
    kernel_size
        By axis; its length is the number of spatial axes.
    stride
        By axis, or one for all.
    padding
        By axis, or one for all; None: the default of each layer.
    bias
        Whether to add a bias to the output voxels.

    Raises
    ------
    ConfigError
        A size is below 1, or lengths differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = tuple(kernel_size)
        self.stride = _by_axis(stride, self.kernel_size, "stride")
        if padding is None:
            padding = self._default_padding()
        self.padding = _by_axis(padding, self.kernel_size, "padding")
        if min(in_channels, out_channels, *self.kernel_size, *self.stride) < 1:
            raise ConfigError(f"{self}: channels, kernel and stride must be 1 or more.")
        if min(self.padding) < 0:
            raise ConfigError(f"{self}: the padding must be 0 or more.")
        self.weight = nn.Parameter(torch.empty(out_channels, *self.kernel_size, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(fan in), as in torch's convolutions."""
        bound = 1 / math.sqrt(self.in_channels * self._fan())
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    @property
    def convolution(self) -> Convolution:
        """The properties that determine the code that computes it."""
        submanifold, upward = isinstance(self, SubmanifoldConv), isinstance(self, _UPWARD)
        return Convolution(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            None if submanifold else self.stride,
            upward,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}"
        )

    def _default_padding(self) -> tuple[int, ...]:
        return tuple((k - 1) // 2 for k in self.kernel_size)

    def _fan(self) -> int:
        return math.prod(self.kernel_size)

    def _check(self, x: SparseTensor) -> None:
        if x.channels != self.in_channels or x.ndim != len(self.kernel_size):
            raise ConfigError(
                f"{type(self).__name__} expects {self.in_channels} channels on "
                f"{len(self.kernel_size)} axes, but the tensor has {x.channels} on {x.ndim}."
            )

    def _apply_map(
        self, x: SparseTensor, pairs: KernelMap, target: Coordinates, transposed: bool
    ) -> SparseTensor:
        out = convolve(x.features, self.weight, self.bias, pairs, transposed, x.backend)
        return x.with_coordinates(out, target)


class SubmanifoldConv(_Convolution):
    """Convolution whose output voxels are its input voxels (Graham et al. 2018).

    On them it equals the dense convolution with padding ``kernel // 2`` and stride 1. Kernel
    sizes must be odd; stride and padding are fixed.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sequence[int], *, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias)
        if any(k % 2 == 0 for k in self.kernel_size):
            raise ConfigError(
                f"A submanifold kernel {self.kernel_size} needs a centre: use odd sizes."
            )

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        pairs = submanifold_map(x.coordinates, self.kernel_size)
        return self._apply_map(x, pairs, x.coordinates, False)


class SparseConv(_Convolution):
    """Convolution that writes every voxel its kernel reaches, strided or not.

    On them it equals the dense convolution with the same kernel, stride and padding (by default
    ``(kernel - 1) // 2``); the grid shrinks as in torch, to
    ``(n + 2 padding - kernel) // stride + 1``.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        k, s, p = self.kernel_size, self.stride, self.padding
        shape = tuple((n + 2 * p[a] - k[a]) // s[a] + 1 for a, n in enumerate(x.shape))
        if min(shape) < 1:
            raise ConfigError(f"{self} leaves nothing of a grid of {x.shape}.")
        target = x.coordinates.coarsen(k, s, p, shape)
        return self._apply_map(x, kernel_map(x.coordinates, target, k, s, p), target, False)


class _Transposed(_Convolution):
    """``f = stride * c + o - padding``; by default the grid grows exactly by `stride`."""

    def _default_padding(self) -> tuple[int, ...]:
        pairs = zip(self.kernel_size, self.stride, strict=True)
        return tuple(max(0, (k - s + 1) // 2) for k, s in pairs)

    def _fan(self) -> int:
        pairs = zip(self.kernel_size, self.stride, strict=True)
        return math.prod(-(-k // s) for k, s in pairs)


class SparseTransposedConv(_Transposed):
    """Transposed convolution that generates new voxels, for up-sampling in generative networks.

    Every voxel writes all voxels that its kernel reaches on a grid of ``n * stride`` (Gwak,
    Choy and Savarese, ECCV 2020). On them it equals torch's transposed convolution with padding
    ``max(0, (kernel - stride + 1) // 2)`` and the output padding that fills the grid. If the
    kernel does not exceed the stride, no two voxels write to the same position.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:
        self._check(x)
        k, s, p = self.kernel_size, self.stride, self.padding
        shape = tuple(n * s[a] for a, n in enumerate(x.shape))
        target = x.coordinates.refine(k, s, p, shape)
        return self._apply_map(x, kernel_map(target, x.coordinates, k, s, p), target, True)


class InverseConv(_Convolution):
    """Transposed convolution onto given voxels: the inverse of a `SparseConv`.

    With the kernel, stride and padding of the downsampling layer, and its input tensor as the
    target, its kernel map is reused.
    """

    def forward(self, x: SparseTensor, target: SparseTensor | Coordinates) -> SparseTensor:
        """Features on the voxels of `target`.

        Raises
        ------
        ConfigError
            The two grids do not differ by `stride`, or have different batches or devices.
        """
        self._check(x)
        fine = target.coordinates if isinstance(target, SparseTensor) else target
        k, s, p = self.kernel_size, self.stride, self.padding
        step = tuple(f * n for f, n in zip(fine.stride, s, strict=True))
        if step != x.stride or (fine.batch_size, fine.device) != (x.batch_size, x.device):
            raise ConfigError(
                f"{self} cannot map {x.coordinates} to {fine}: strides, batch or device differ."
            )
        return self._apply_map(x, kernel_map(fine, x.coordinates, k, s, p), fine, True)


_UPWARD = (SparseTransposedConv, InverseConv)


def _by_axis(value: int | Sequence[int], kernel: tuple[int, ...], name: str) -> tuple[int, ...]:
    values = (value,) * len(kernel) if isinstance(value, int) else tuple(value)
    if len(values) != len(kernel):
        raise ConfigError(f"The {name} {values} and the kernel {kernel} differ in length.")
    return values
