"""Choose the code that computes a convolution: plain PyTorch, or spconv on CUDA.

Both use the same kernel maps and parameters, so a network and its weight file are independent of
the backend. spconv is never used on the CPU: with several threads its CPU kernels have a race
condition and give wrong results, and they have no backward pass.
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
    """The backend to use on a device; None: spconv on CUDA if it is installed and correct.

    Parameters
    ----------
    wanted
        Requested backend.
    device, dtype
        Device and type of the tensor: spconv may be correct for one type and not for another.

    Raises
    ------
    BackendError
        spconv was requested on the CPU, is not installed, or gives wrong results.
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
    """The type used by autocast on a device, if enabled."""
    kind = device.type
    # A device without autocast (meta) must not even be queried.
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Keep the type of the factors in products, even within autocast."""
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
        Backend to use.

    Returns
    -------
    Tensor
        (m, c_out) rows of the target side.

    Raises
    ------
    ConfigError
        Features, weight and map do not match, or differ in type.
    BackendError
        spconv was requested without CUDA.
    """
    c_out, c_in = weight.shape[0], weight.shape[-1]
    n_source = pairs.n_coarse if transposed else pairs.n_fine
    half = _autocast_type(features.device)
    if half is not None:  # as in torch's own convolutions
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
        resolve_backend(backend, features.device)  # raises with the reason
    # The type is known only here, since autocast may have changed it.
    if backend == "spconv" and not spconv_fault(str(features.device), features.dtype):
        from napari_ulm3d.sparse.backends.backend_spconv import convolve_spconv

        return convolve_spconv(features, flat, bias, pairs, transposed)
    convolve = convolve_tables if uses_tables(features.device) else convolve_torch
    return convolve(features, flat, bias, pairs, transposed)
