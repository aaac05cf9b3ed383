"""Scaling of a block to an amplitude that can be squared in single precision.

Frames in volts, pascals or a simulator's units may be of the order of 1e-24 or 1e+24. The filter
forms products of up to four values, beyond the range of single precision (1e-38 to 3e38): sums
become 0 or infinite. Scaling by a power of two is exact, and using one factor per block, from
the block's own maximum, makes the result independent of threads and workers.
"""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError

__all__ = ["refuse_constant", "rescale"]

#: Range of exponents (base 2) of the maximum in which nothing is scaled. The fourth power of
#: 2**20, summed over 1e9 voxels, and that of a millionth of 2**-10 are far from the limits.
_LEAST, _MOST = -10, 20


def rescale(frames: NDArray[Any]) -> int:
    """Multiply frames of extreme amplitude by a power of two, in place.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32, C-contiguous and finite; overwritten.

    Returns
    -------
    int
        The exponent: frames were multiplied by 2**exponent (0 if unchanged).
    """
    values = frames.view(np.float32) if frames.dtype == np.complex64 else frames
    exponent = frexp(max(float(values.max()), -float(values.min())))[1]
    if _LEAST <= exponent <= _MOST or not values.any():
        return 0
    exponent += exponent % 2  # even, so that the square root of the factor is exact as well
    # In two steps, because 2**149 itself exceeds single precision.
    half = -exponent // 2
    np.ldexp(values, half, out=values)
    np.ldexp(values, -exponent - half, out=values)
    return -exponent


def refuse_constant(frames: NDArray[Any], name: str) -> None:
    """Refuse a block in which nothing changes, so that nothing can be found.

    Raises
    ------
    InputError
        All values are zero, or all frames are identical.
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
