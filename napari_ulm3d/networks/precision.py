"""Half precision for predictions on CUDA."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from napari_ulm3d.errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["half_precision"]


def half_precision(precision: str, device: torch.device | str) -> AbstractContextManager[Any]:
    """Context in which convolutions and matrix products use 16 bits, if requested.

    Parameters
    ----------
    precision
        ``full``, ``half`` or ``auto``, which means ``full``.
    device
        Device of the network.

    Raises
    ------
    ConfigError
        ``half`` was requested without CUDA, where it would be slower.
    """
    if precision != "half":
        return nullcontext()
    if not str(device).startswith("cuda"):
        raise ConfigError(
            "network.precision=half needs CUDA. Set network.precision=full, or device=cuda."
        )
    import torch

    return torch.autocast("cuda", dtype=torch.float16)
