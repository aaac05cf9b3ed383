"""Check that spconv gives correct results on a GPU before using it.

Its kernels are compiled for the GPU, the type and the number of channels, and users report
combinations without a kernel (traveller59/spconv, issues 455 and 563). The actual
convolutions of a network are therefore tested, forward and backward, once per type; a fault in
16 bits does not preclude 32.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from napari_ulm3d.sparse.backends.backend_spconv import convolve_spconv
from napari_ulm3d.sparse.backends.backend_torch import convolve_torch
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.kernel_maps import KernelMap, kernel_map, submanifold_map

__all__ = ["USUAL", "Convolution", "check_spconv", "convolutions_of", "spconv_fault"]

log = logging.getLogger("napari_ulm3d")

_TOLERANCE = {torch.float32: 1e-3, torch.float16: 3e-2}
_LONGEST = 7  # voxels of the test grid along an axis


@dataclass(frozen=True, order=True)
class Convolution:
    """The properties of a convolution that determine spconv's kernel.

    Attributes
    ----------
    in_channels, out_channels
        Number of input and output channels.
    kernel, stride
        By axis; stride None: submanifold.
    transposed
        Whether it goes from coarse to fine voxels.
    """

    in_channels: int
    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] | None = None
    transposed: bool = False

    def __str__(self) -> str:
        size = "x".join(map(str, self.kernel))
        return f"{self.in_channels} to {self.out_channels} channels, kernel {size}"


# BubbleNet's first and inner layers, and the single output channel of Rauby et al.'s last layer.
USUAL = frozenset(
    [Convolution(a, b, (3, 3, 3)) for a, b in ((2, 24), (24, 24), (32, 48), (16, 1))]
    + [Convolution(48, 32, (2, 2, 2), (2, 2, 2), transposed=True)]
)
"""Convolutions to test if no network is given."""

_faults: dict[tuple[str, torch.dtype], str | None] = {}


def convolutions_of(network: nn.Module) -> frozenset[Convolution]:
    """The distinct convolutions of a network."""
    found = (getattr(module, "convolution", None) for module in network.modules())
    return frozenset(one for one in found if isinstance(one, Convolution))


def check_spconv(network: nn.Module, device: str) -> dict[torch.dtype, str | None]:
    """Test the convolutions of a network; return the fault of each type, or None.

    A type with a fault is no longer used on that device.
    """
    for dtype in _TOLERANCE:
        _judge(convolutions_of(network) or USUAL, device, dtype)
    return {dtype: _faults[device, dtype] for dtype in _TOLERANCE}


def spconv_fault(device: str, dtype: torch.dtype = torch.float32) -> str | None:
    """The fault of spconv found so far on a device for a type, or None.

    Parameters
    ----------
    device
        PyTorch's name of the device.
    dtype
        Type of the features.
    """
    if dtype not in _TOLERANCE:
        return f"spconv does not compute {dtype}"
    if (device, dtype) not in _faults:
        _judge(USUAL, device, dtype)
    return _faults[device, dtype]


def forget() -> None:
    """Discard all results, so that spconv is tested again."""
    _faults.clear()
    _fault.cache_clear()


def _judge(convolutions: Iterable[Convolution], device: str, dtype: torch.dtype) -> None:
    known = _faults.setdefault((device, dtype), None)
    for one in sorted(convolutions, key=str):
        if known is None and (known := _fault(one, device, dtype)):
            log.warning("spconv failed its check on %s and is not used: %s", device, known)
    _faults[device, dtype] = known


@cache
def _fault(one: Convolution, device: str, dtype: torch.dtype) -> str | None:
    """Test one kind of convolution, forward and backward; return its fault, or None."""
    what = f"{one}, {dtype}"
    generator = torch.Generator().manual_seed(0)
    # The caller may have disabled gradients or enabled autocast.
    kind = torch.device(device).type
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(kind, enabled=False):
        try:
            error = _error(_map(one, generator), one, dtype, device, generator)
        except Exception as problem:  # on any error, do not use it
            return f"{what}: {type(problem).__name__}: {problem}"
    if not error <= _TOLERANCE[dtype]:
        return f"{what}: error of {error:.2g} relative to the largest value"
    return None


def _map(one: Convolution, generator: torch.Generator) -> KernelMap:
    """Kernel map of a grid slightly larger than the kernel, with a fifth of its voxels occupied."""
    side = max(3, round(700 ** (1 / len(one.kernel))))
    shape = tuple(min(_LONGEST, max(k, side - axis)) for axis, k in enumerate(one.kernel))
    kept = (torch.rand((2, *shape), generator=generator) < 0.2).nonzero()
    fine, _ = Coordinates.create(kept, shape, 2)
    if one.stride is None:
        return submanifold_map(fine, one.kernel)
    padding = tuple((k - 1) // 2 for k in one.kernel)
    smaller = tuple(
        max(1, (n + 2 * p - k) // s + 1)
        for n, p, k, s in zip(shape, padding, one.kernel, one.stride, strict=True)
    )
    coarse = fine.coarsen(one.kernel, one.stride, padding, smaller)
    return kernel_map(fine, coarse, one.kernel, one.stride, padding)


def _error(
    pairs: KernelMap,
    one: Convolution,
    dtype: torch.dtype,
    device: str,
    generator: torch.Generator,
) -> float:
    """Largest error of outputs and gradients relative to ours on the CPU."""
    n = pairs.n_coarse if one.transposed else pairs.n_fine
    sizes = (
        (n, one.in_channels),
        (one.out_channels, pairs.volume, one.in_channels),
        (one.out_channels,),
    )
    given = [torch.randn(size, generator=generator) for size in sizes]
    given[1] /= math.sqrt(pairs.volume * one.in_channels)
    features, weight, bias = (tensor.clone().requires_grad_() for tensor in given)
    ours = convolve_torch(features, weight, bias, pairs, one.transposed)
    right = [ours, *torch.autograd.grad(ours.sin().sum(), (features, weight, bias))]

    inputs = [tensor.to(device, dtype).requires_grad_() for tensor in given]
    moved = KernelMap(
        pairs.n_fine, pairs.n_coarse, pairs.volume, pairs.mirrored, pairs.table().to(device)
    )
    theirs: Any = convolve_spconv(inputs[0], inputs[1], inputs[2], moved, one.transposed)
    found = [theirs, *torch.autograd.grad(theirs.float().sin().sum(), inputs)]
    # torch's maximum, unlike Python's, propagates NaN.
    return float(torch.stack([_difference(a, b) for a, b in zip(found, right, strict=True)]).max())


def _difference(found: Tensor, right: Tensor) -> Tensor:
    found, right = found.detach().cpu().float(), right.detach()
    return (found - right).abs().max() / right.abs().max()
