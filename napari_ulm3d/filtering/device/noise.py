"""Noise level of filtered frames on their device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["noise_level"]


def noise_level(frames: Tensor, valid: NDArray[np.bool_] | None = None) -> Tensor:
    """Like `networks.bubblenet_input.noise_level`; the result stays on the device.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32, after the clutter filter.
    valid
        (z, y, x) voxels that contain data; None: all.
    """
    magnitude = frames[:: max(1, len(frames) // 16)].abs()
    n: Any = magnitude.numel()
    if valid is not None:
        # Invalid voxels sort last and are not counted; the host knows their number.
        mask = torch.from_numpy(valid).to(frames.device)
        magnitude = torch.where(mask, magnitude, torch.inf)
        n = len(magnitude) * int(valid.sum())
    if not n:
        return frames.new_zeros((), dtype=torch.float32)
    ordered = magnitude.flatten().sort()[0]
    median = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return median / math.sqrt(math.log(2))
