"""Inner loop: measured images of bubbles, interpolated and added to a frame, without the GIL."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["add_measured"]

_TAPS = 4  # of a cubic B-spline


@njit(cache=True, nogil=True)
def _corner(position: float, count: int) -> tuple[int, float]:
    """Lower neighbour of a fractional index in 0..count - 1, and the weight of the upper one."""
    low = min(int(position), max(count - 2, 0))
    return low, position - low


@njit(cache=True, nogil=True)
def _along(
    position: float, spacing: float, slope: float, count: int, samples: int,
    first: NDArray[np.int64], weight: NDArray[np.float32], phase: NDArray[np.complex64],
) -> tuple[int, int]:  # fmt: skip
    """Voxels low..high - 1 along one axis that an image reaches.

    Parameters
    ----------
    position
        Voxel index of the bubble.
    spacing
        Samples of the image per voxel; negative if the image is mirrored.
    slope
        Phase per voxel, radians; it is mirrored with the image.
    count, samples
        Number of voxels, and of samples of the image.
    first, weight, phase
        Filled for each voxel: the first of its four samples, their weights, and the phase.
    """
    if samples == 1:
        for voxel in range(count):
            first[voxel], phase[voxel] = 0, 1.0
            weight[voxel, 0] = 1.0
        return 0, count
    middle = (samples - 1) / 2
    reach = (middle - 1.0) / abs(spacing)
    low = max(0, math.ceil(position - reach))
    high = min(count, math.floor(position + reach) + 1)
    for voxel in range(low, high):
        offset = voxel - position
        at = min(max(middle + offset * spacing, 1.0), samples - 2.001)
        cell = int(at)
        t = at - cell
        first[voxel] = cell - 1
        weight[voxel, 0] = (1 - t) ** 3 / 6
        weight[voxel, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
        weight[voxel, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
        weight[voxel, 3] = t**3 / 6
        turn = offset * slope
        phase[voxel] = complex(math.cos(turn), math.sin(turn))
    return low, high


@njit(cache=True, nogil=True)
def _blend(image: NDArray[np.float32], table: NDArray[np.float32], at: NDArray[np.float64]) -> None:
    """Weighted sum of the eight images around a place, (z, y, 2 x) in `image`."""
    image[:] = 0
    z, fz = _corner(at[0], table.shape[0])
    y, fy = _corner(at[1], table.shape[1])
    x, fx = _corner(at[2], table.shape[2])
    for k in range(8):
        up_z, up_y, up_x = k & 1, (k >> 1) & 1, (k >> 2) & 1
        share = (fz if up_z else 1 - fz) * (fy if up_y else 1 - fy) * (fx if up_x else 1 - fx)
        if share == 0:
            continue
        one = table[z + up_z, y + up_y, x + up_x]
        weight = np.float32(share)
        for i in range(image.shape[0]):
            for j in range(image.shape[1]):
                for m in range(image.shape[2]):
                    image[i, j, m] += weight * one[i, j, m]


@njit(cache=True, nogil=True)
def _interpolated(table: NDArray[np.float64], at: NDArray[np.float64], axis: int) -> float:
    """Entry `axis` of a table (depth, side y, side x, 3) at a fractional place."""
    z, fz = _corner(at[0], table.shape[0])
    y, fy = _corner(at[1], table.shape[1])
    x, fx = _corner(at[2], table.shape[2])
    value = 0.0
    for k in range(8):
        up_z, up_y, up_x = k & 1, (k >> 1) & 1, (k >> 2) & 1
        share = (fz if up_z else 1 - fz) * (fy if up_y else 1 - fy) * (fx if up_x else 1 - fx)
        if share > 0:
            value += share * table[z + up_z, y + up_y, x + up_x, axis]
    return value


@njit(cache=True, nogil=True)
def add_measured(
    frame: NDArray[np.complex64],
    index: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    table: NDArray[np.float32],
    step: NDArray[np.float64],
    slope: NDArray[np.float64],
    voxel: NDArray[np.float64],
) -> None:
    """Add the images of bubbles to a frame (z, y, x) in place.

    Parameters
    ----------
    index
        (n, 3) fractional voxel indices z, y, x of the bubbles.
    amplitude
        (n,) magnitudes; images have a maximum of 1.
    table
        (depth, side y, side x, z, y, 2 x) spline coefficients, the real part before the imaginary.
    step
        (depth, 1, 1, 3) spacing of the samples, wavelengths.
    slope
        (depth, side y, side x, 3) phase, radians per wavelength.
    voxel
        (3,) spacing of the voxels, wavelengths.
    """
    nz, ny, nx = frame.shape
    py, px = table.shape[4], table.shape[5] // 2
    longest = max(nz, ny, nx)
    first = np.zeros((3, longest), np.int64)
    weight = np.zeros((3, longest, _TAPS), np.float32)
    phase = np.zeros((3, longest), np.complex64)
    image = np.empty(table.shape[3:], np.float32)
    planes = np.empty((py, 2 * px), np.float32)
    row = np.empty(2 * px, np.float32)
    at, at_step = np.empty(3), np.empty(3)
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for b in range(index.shape[0]):
        for axis in range(3):
            part = (index[b, axis] + 0.5) / frame.shape[axis]
            if axis > 0:
                part = abs(2 * part - 1)
            at[axis] = min(max(part, 0.0), 1.0) * (table.shape[axis] - 1)
        at_step[:] = 0.0
        at_step[0] = at[0]
        empty = False
        for axis in range(3):
            mirrored = axis > 0 and index[b, axis] + 0.5 < frame.shape[axis] / 2
            sign = -1.0 if mirrored else 1.0
            spacing = voxel[axis] / _interpolated(step, at_step, axis)
            turn = sign * voxel[axis] * _interpolated(slope, at, axis)
            low[axis], high[axis] = _along(
                index[b, axis], sign * spacing, turn, frame.shape[axis], table.shape[3 + axis] if
                axis < 2 else px, first[axis], weight[axis], phase[axis],
            )  # fmt: skip
            empty = empty or low[axis] >= high[axis]
        if empty:
            continue
        _blend(image, table, at)
        size = np.float32(amplitude[b])
        y_taps = _TAPS if py > 1 else 1
        for z in range(low[0], high[0]):
            _sum_taps(planes, image, first[0, z], weight[0, z], _TAPS)
            for y in range(low[1], high[1]):
                _sum_taps(row, planes, first[1, y], weight[1, y], y_taps)
                turned = size * phase[0, z] * phase[1, y]
                for x in range(low[2], high[2]):
                    re, im = np.float32(0), np.float32(0)
                    start = first[2, x]
                    for tap in range(_TAPS):
                        share = weight[2, x, tap]
                        re += share * row[start + tap]
                        im += share * row[px + start + tap]
                    frame[z, y, x] += turned * phase[2, x] * np.complex64(complex(re, im))


@njit(cache=True, nogil=True)
def _sum_taps(
    out: NDArray[np.float32], table: NDArray[np.float32], first: int,
    weight: NDArray[np.float32], taps: int,
) -> None:  # fmt: skip
    flat = out.reshape(-1)
    flat[:] = 0
    for tap in range(taps):
        share = weight[tap]
        one = table[first + tap].reshape(-1)
        for k in range(flat.size):
            flat[k] += share * one[k]
