"""Which code computes a convolution: plain PyTorch, or spconv on CUDA.

Both take the same kernel maps and the same parameters, so a network and its weight file do not
know the backend. spconv never works on the CPU here: with several threads its CPU kernels race
and give wrong numbers, and they have no backward pass.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from napari_ulm3d.device import has_cuda_spconv
from napari_ulm3d.errors import BackendError, ConfigError
from napari_ulm3d.sparse.backends.backend_tables import convolve_tables
from napari_ulm3d.sparse.backends.backend_torch import convolve_torch
from napari_ulm3d.sparse.backends.spconv_check import spconv_fault
from napari_ulm3d.sparse.forms import uses_tables
from napari_ulm3d.sparse.kernel_maps import KernelMap

__all__ = ["Backend", "convolve", "resolve_backend", "without_autocast"]

Backend = Literal["torch", "spconv"]


def resolve_backend(
    wanted: Backend | None, device: torch.device | str, dtype: torch.dtype = torch.float32
) -> Backend:
    """The backend to use on a device; None takes spconv on CUDA where it is there and right.

    Parameters
    ----------
    wanted
        What was asked for.
    device, dtype
        Where the tensor is, and its type: spconv may be right for one and not for another.

    Raises
    ------
    BackendError
        spconv was asked for on the CPU, is not installed, or computes wrong numbers.
    """
    on_cuda = torch.device(device).type == "cuda"
    if wanted is None:
        right = on_cuda and has_cuda_spconv() and not spconv_fault(str(device), dtype)
        return "spconv" if right else "torch"
    if wanted == "spconv" and not on_cuda:
        raise BackendError(
            "spconv computes wrong results on the CPU. Move the tensor to CUDA, or use the "
            "torch backend."
        )
    if wanted == "spconv" and not has_cuda_spconv():
        raise BackendError(
            'spconv with CUDA is not installed. Run: pip install "napari-ulm3d[gpu]"'
        )
    if wanted == "spconv" and (fault := spconv_fault(str(device), dtype)):
        raise BackendError(f"spconv failed its check on {device} ({fault}). Use the torch backend.")
    if wanted not in ("torch", "spconv"):
        raise BackendError(f"There is no sparse backend {wanted!r}. Use torch or spconv.")
    return wanted


def _autocast_type(device: torch.device) -> torch.dtype | None:
    """The type that autocast asks for on a device, if it does."""
    kind = device.type
    # Of a device that has no autocast (meta) it may not even be asked.
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Products of the type that their factors have, even within autocast."""
    if _autocast_type(device) is None:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def convolve(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    pairs: KernelMap,
    transposed: bool = False,
    backend: Backend = "torch",
) -> Tensor:
    """Sum over offsets o of ``features[source] @ weight[:, o].T`` into the target rows, plus bias.

    Parameters
    ----------
    features
        (n, c_in) rows of the source side.
    weight
        (c_out, *kernel, c_in), spconv's KRSC layout; offsets in C order.
    bias
        (c_out,).
    pairs
        The kernel map.
    transposed
        Read coarse rows and write fine ones, instead of the reverse.
    backend
        What computes it.

    Returns
    -------
    Tensor
        (m, c_out) rows of the target side.

    Raises
    ------
    ConfigError
        Features, weight and map do not fit one another, or differ in type.
    BackendError
        spconv off CUDA.
    """
    c_out, c_in = weight.shape[0], weight.shape[-1]
    n_source = pairs.n_coarse if transposed else pairs.n_fine
    half = _autocast_type(features.device)
    if half is not None:  # as torch's own convolutions do
        features, weight = features.to(half), weight.to(half)
        bias = None if bias is None else bias.to(half)
    flat = weight.reshape(c_out, -1, c_in)
    if features.shape != (n_source, c_in) or flat.shape[1] != pairs.volume:
        raise ConfigError(
            f"Features {tuple(features.shape)} and weights {tuple(weight.shape)} do not match "
            f"a kernel map of {pairs.volume} offsets over {n_source} voxels."
        )
    if features.dtype != weight.dtype:
        raise ConfigError(
            f"Features are {features.dtype} and weights {weight.dtype}. Use one type for the "
            "network and its input, or use torch.autocast."
        )
    if backend == "spconv" and features.device.type == "cpu":
        resolve_backend(backend, features.device)  # says why not
    # The type is known only here: autocast may have made it another one.
    if backend == "spconv" and not spconv_fault(str(features.device), features.dtype):
        from napari_ulm3d.sparse.backends.backend_spconv import convolve_spconv

        return convolve_spconv(features, flat, bias, pairs, transposed)
    convolve = convolve_tables if uses_tables(features.device) else convolve_torch
    return convolve(features, flat, bias, pairs, transposed)
