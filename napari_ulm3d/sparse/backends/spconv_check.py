"""Whether spconv computes right on a GPU: tried once a device before it is trusted with data.

Its kernels are compiled for the GPU, the type and the channels at hand, and users report
combinations that it knows no kernel for (traveller59/spconv, issues 455 and 563).
"""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor

from napari_ulm3d.sparse.backends.backend_spconv import convolve_spconv
from napari_ulm3d.sparse.backends.backend_torch import convolve_torch
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.kernel_maps import KernelMap, kernel_map, submanifold_map

__all__ = ["spconv_fault"]

log = logging.getLogger("napari_ulm3d")

# Of BubbleNet's first and inner layers, in and out; 1 is what the paper's last layer makes.
_CHANNELS = ((2, 24), (24, 24), (32, 48), (16, 1))
_TOLERANCE = {torch.float32: 1e-3, torch.float16: 3e-2}
_KERNEL, _STRIDE, _PADDING = (3, 3, 3), (2, 2, 2), (1, 1, 1)


@cache
def spconv_fault(device: str) -> str | None:
    """What is wrong with spconv on a device; None if a forward and a backward pass are right.

    Tried, and told in the log, once.

    Parameters
    ----------
    device
        As PyTorch names it.
    """
    fault = _trial(device)
    if fault:
        log.warning("spconv failed its check on %s and is not used: %s", device, fault)
    return fault


def _trial(device: str) -> str | None:
    kind = torch.device(device).type
    generator = torch.Generator().manual_seed(0)
    shape = (10, 9, 8)
    kept = (torch.rand((1, *shape), generator=generator) < 0.2).nonzero()
    # Whoever asks may be predicting: without gradients, or with autocast.
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(kind, enabled=False):
        fine, _ = Coordinates.create(kept, shape, 1)
        coarse = fine.coarsen(_KERNEL, _STRIDE, _PADDING, tuple((n + 1) // 2 for n in shape))
        down = kernel_map(fine, coarse, _KERNEL, _STRIDE, _PADDING)
        for pairs, transposed in ((submanifold_map(fine, _KERNEL), False), (down, True)):
            for channels in _CHANNELS:
                for dtype, tolerance in _TOLERANCE.items():
                    what = f"{channels[0]} to {channels[1]} channels, {dtype}"
                    try:
                        error = _error(pairs, transposed, channels, dtype, device, generator)
                    except Exception as problem:  # whatever it raises, it is not to be used
                        return f"{what}: {type(problem).__name__}: {problem}"
                    if not error <= tolerance:
                        return f"{what}: error of {error:.2g} relative to the largest value"
    return None


def _error(
    pairs: KernelMap,
    transposed: bool,
    channels: tuple[int, int],
    dtype: torch.dtype,
    device: str,
    generator: torch.Generator,
) -> float:
    """Largest difference of outputs and gradients from ours on the CPU, over the largest value."""
    n = pairs.n_coarse if transposed else pairs.n_fine
    given = [
        torch.randn(size, generator=generator)
        for size in ((n, channels[0]), (channels[1], pairs.volume, channels[0]), (channels[1],))
    ]
    given[1] /= (pairs.volume * channels[0]) ** 0.5
    features, weight, bias = (tensor.clone().requires_grad_() for tensor in given)
    ours = convolve_torch(features, weight, bias, pairs, transposed)
    right = [ours, *torch.autograd.grad(ours.sin().sum(), (features, weight, bias))]

    inputs = [tensor.to(device, dtype).requires_grad_() for tensor in given]
    moved = KernelMap(
        pairs.n_fine, pairs.n_coarse, pairs.volume, pairs.mirrored, pairs.table().to(device)
    )
    theirs = convolve_spconv(inputs[0], inputs[1], inputs[2], moved, transposed)
    found = [theirs, *torch.autograd.grad(theirs.float().sin().sum(), inputs)]
    # torch's maximum, unlike Python's, is NaN where one of them is.
    return float(torch.stack([_difference(a, b) for a, b in zip(found, right, strict=True)]).max())


def _difference(found: Tensor, right: Tensor) -> Tensor:
    found, right = found.detach().cpu().float(), right.detach()
    return (found - right).abs().max() / right.abs().max()
