"""The amplitude of a block brought to where single precision can square it.

Frames in volts, pascals or a simulator's units may be of the order 1e-24 or 1e+24. The filter
forms products of up to four of them, which single precision (1e-38 to 3e38) cannot hold: sums
become 0 or infinite. A factor that is a power of two changes no digit of a number, and one factor a
block, from the block's own largest value, depends on neither threads nor workers.
"""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError

__all__ = ["refuse_constant", "rescale"]

#: Exponents (base 2) of the largest value between which nothing is done. The fourth power of
#: 2**20, summed over 1e9 voxels, and of a millionth of 2**-10 are both far from the limits.
_LEAST, _MOST = -10, 20


def rescale(frames: NDArray[Any]) -> int:
    """Multiply frames by a power of two, in place, where their amplitude is extreme.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32, C-contiguous and finite; overwritten.

    Returns
    -------
    int
        The exponent: frames were multiplied by 2**exponent, 0 where they were left alone.
    """
    values = frames.view(np.float32) if frames.dtype == np.complex64 else frames
    exponent = frexp(max(float(values.max()), -float(values.min())))[1]
    if _LEAST <= exponent <= _MOST or not values.any():
        return 0
    exponent += exponent % 2  # even: the square root of the factor changes no digit either
    # In two steps: 2**149 itself is beyond single precision.
    half = -exponent // 2
    np.ldexp(values, half, out=values)
    np.ldexp(values, -exponent - half, out=values)
    return -exponent


def refuse_constant(frames: NDArray[Any], name: str) -> None:
    """Refuse a block in which nothing changes, so that nothing could be found.

    Raises
    ------
    InputError
        All values are zero, or every frame is the same.
    """
    if len(frames) < 2 or not np.array_equal(frames[0], frames[-1]):
        return
    if not frames[0].any() and not frames.any():
        raise InputError(
            name, "contains only zeros", "Check the file, or choose other frames or another array."
        )
    if all(np.array_equal(frames[0], frame) for frame in frames[1:-1]):
        raise InputError(
            name,
            f"contains {len(frames)} identical frames, so no bubble moves",
            "Check the file, and which of its axes is time (--axes).",
        )
