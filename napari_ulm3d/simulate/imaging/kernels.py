"""Inner loops: one frame from noise, tissue and the images of its bubbles.

They release the GIL and do not use numba's threads, so frames can be rendered in parallel
from any threads. Each frame is rendered by a single thread, so the result does not depend on
the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["add_bubbles", "add_displaced", "combine_tissue"]

# Magnitudes below this fraction of the peak (-60 dB) are omitted.
_CUTOFF = 1e-3
_WIDTHS_TO_CUTOFF = math.sqrt(math.log(1 / _CUTOFF) / (4 * math.log(2)))
_FOUR_LOG_2 = 4 * math.log(2)


@njit(cache=True, nogil=True)
def _window(position: float, reach: float, count: int) -> tuple[int, int]:
    low = max(0, math.ceil(position - reach))
    return low, min(count, math.floor(position + reach) + 1)


@njit(cache=True, nogil=True)
def _lateral(offset: float, side_level: float, side_offset: float) -> float:
    # `offset` and `side_offset` are in full widths at half maximum.
    value = math.exp(-_FOUR_LOG_2 * offset * offset)
    if side_level > 0.0:
        left, right = offset - side_offset, offset + side_offset
        value += side_level * math.exp(-_FOUR_LOG_2 * left * left)
        value += side_level * math.exp(-_FOUR_LOG_2 * right * right)
    return value


@njit(cache=True, nogil=True)
def add_bubbles(
    frame: NDArray[np.complex64],
    index: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    fwhm: NDArray[np.float64],
    phase_per_voxel: float,
    side_level: float,
    side_offset: float,
) -> None:
    """Add the images of bubbles to a frame (z, y, x) in place.

    Parameters
    ----------
    index
        (n, 3) fractional voxel indices z, y, x of the bubbles.
    amplitude
        (n,) peak magnitudes.
    fwhm
        (n, 3) full widths at half maximum along z, y, x at each bubble, in voxels.
    phase_per_voxel
        Two-way carrier phase between adjacent voxels along z, radians.
    side_level, side_offset
        Magnitude of the side lobes relative to the peak (0: none), and their distance in FWHM.
    """
    nz, ny, nx = frame.shape
    row_y = np.empty(ny, np.float32)
    row_x = np.empty(nx, np.float32)
    lateral_reach = _WIDTHS_TO_CUTOFF
    if side_level > _CUTOFF:
        reach = math.sqrt(math.log(side_level / _CUTOFF) / _FOUR_LOG_2)
        lateral_reach = max(lateral_reach, side_offset + reach)
    for b in range(index.shape[0]):
        z0, z1 = _window(index[b, 0], _WIDTHS_TO_CUTOFF * fwhm[b, 0], nz)
        y0, y1 = _window(index[b, 1], lateral_reach * fwhm[b, 1], ny)
        x0, x1 = _window(index[b, 2], lateral_reach * fwhm[b, 2], nx)
        for y in range(y0, y1):
            row_y[y] = _lateral((y - index[b, 1]) / fwhm[b, 1], side_level, side_offset)
        for x in range(x0, x1):
            row_x[x] = _lateral((x - index[b, 2]) / fwhm[b, 2], side_level, side_offset)
        for z in range(z0, z1):
            depth = z - index[b, 0]
            offset = depth / fwhm[b, 0]
            size = amplitude[b] * math.exp(-_FOUR_LOG_2 * offset * offset)
            phase = phase_per_voxel * depth
            axial = np.complex64(complex(size * math.cos(phase), size * math.sin(phase)))
            for y in range(y0, y1):
                value = axial * row_y[y]
                for x in range(x0, x1):
                    frame[z, y, x] += value * row_x[x]


@njit(cache=True, nogil=True)
def combine_tissue(
    frame: NDArray[np.complex64],
    noise_scale: np.float32,
    fields: NDArray[np.complex64],
    weights: NDArray[np.complex64],
    shift: NDArray[np.float64],
    carrier: NDArray[np.complex64],
) -> None:
    """Scale the noise in a frame (z, y, x) and add the weighted tissue fields, in place.

    Parameters
    ----------
    fields
        (k, z, y, x) envelopes of the tissue without the carrier.
    weights
        (k,) weights in this frame.
    shift
        (3,) rigid displacement in voxels, z, y, x; the tissue is interpolated linearly and
        its outermost voxels are repeated beyond the grid.
    carrier
        (z,) phasor of the carrier for the displaced tissue.
    """
    nz, ny, nx = frame.shape
    if shift[0] == 0.0 and shift[1] == 0.0 and shift[2] == 0.0:
        row = np.empty(nx, np.complex64)
        for z in range(nz):
            for y in range(ny):
                _weighted_row(row, fields, weights, z, y)
                for x in range(nx):
                    frame[z, y, x] = frame[z, y, x] * noise_scale + row[x] * carrier[z]
        return
    still = np.empty(frame.shape, np.complex64)
    for z in range(nz):
        for y in range(ny):
            _weighted_row(still[z, y], fields, weights, z, y)
    one = np.float32(1)
    for z in range(nz):
        z0, z1, fz = _neighbours(z - shift[0], nz)
        for y in range(ny):
            y0, y1, fy = _neighbours(y - shift[1], ny)
            for x in range(nx):
                x0, x1, fx = _neighbours(x - shift[2], nx)
                a = (one - fx) * still[z0, y0, x0] + fx * still[z0, y0, x1]
                b = (one - fx) * still[z0, y1, x0] + fx * still[z0, y1, x1]
                c = (one - fx) * still[z1, y0, x0] + fx * still[z1, y0, x1]
                d = (one - fx) * still[z1, y1, x0] + fx * still[z1, y1, x1]
                value = (one - fz) * ((one - fy) * a + fy * b) + fz * ((one - fy) * c + fy * d)
                frame[z, y, x] = frame[z, y, x] * noise_scale + value * carrier[z]


@njit(cache=True, nogil=True)
def _weighted_row(
    row: NDArray[np.complex64],
    fields: NDArray[np.complex64],
    weights: NDArray[np.complex64],
    z: int,
    y: int,
) -> None:
    row[:] = 0
    for k in range(fields.shape[0]):
        weight = weights[k]
        for x in range(row.size):
            row[x] += weight * fields[k, z, y, x]


@njit(cache=True, nogil=True)
def _neighbours(position: float, count: int) -> tuple[int, int, np.float32]:
    position = min(max(position, 0.0), count - 1.0)
    low = int(position)
    return low, min(low + 1, count - 1), np.float32(position - low)


@njit(cache=True, nogil=True)
def add_displaced(
    frame: NDArray[np.complex64],
    noise_scale: np.float32,
    envelope: NDArray[np.complex64],
    axial_um: NDArray[np.float32],
    side: NDArray[np.float64],
    rigid_um: NDArray[np.float64],
    step_um: NDArray[np.float64],
    phase_per_um: float,
) -> None:
    """Scale the noise in a frame (z, y, x) and add speckle displaced at every voxel, in place.

    Parameters
    ----------
    envelope
        (m z, y, x) speckle without the carrier, m times as fine as the frame along z; periodic. It is
        interpolated by cubic convolution (Keys, IEEE Trans. Acoust. Speech Signal Process. 1981),
        whose slope is continuous: kinks over time would add fast components.
    axial_um
        (z, y, x) displacement along z.
    side
        (2,) displacement along y and x relative to it.
    rigid_um
        (3,) displacement of the whole scene, in addition.
    step_um
        (3,) sample spacing of the envelope.
    phase_per_um
        Phase of the carrier per micrometre of depth.
    """
    nz, ny, nx = frame.shape
    fine, n_y, n_x = envelope.shape
    times = fine // nz
    index = np.empty((3, 4), np.int64)
    weight = np.empty((3, 4), np.float32)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                moved = axial_um[z, y, x]
                down = moved + rigid_um[0]
                _taps(z * times - down / step_um[0], fine, index[0], weight[0])
                _taps(y - (moved * side[0] + rigid_um[1]) / step_um[1], n_y, index[1], weight[1])
                _taps(x - (moved * side[1] + rigid_um[2]) / step_um[2], n_x, index[2], weight[2])
                # Real and imaginary part by themselves: numba would make the weights complex.
                real = imaginary = np.float32(0)
                for i in range(4):
                    for j in range(4):
                        row = envelope[index[0, i], index[1, j]]
                        across = imaginary_across = np.float32(0)
                        for k in range(4):
                            sample = row[index[2, k]]
                            across += weight[2, k] * sample.real
                            imaginary_across += weight[2, k] * sample.imag
                        both = weight[0, i] * weight[1, j]
                        real += both * across
                        imaginary += both * imaginary_across
                value = np.complex64(complex(real, imaginary))
                phase = phase_per_um * (z * times * step_um[0] - down)
                carrier = np.complex64(complex(math.cos(phase), math.sin(phase)))
                frame[z, y, x] = frame[z, y, x] * noise_scale + value * carrier


@njit(cache=True, nogil=True)
def _taps(
    position: float, count: int, index: NDArray[np.int64], weight: NDArray[np.float32]
) -> None:
    low = math.floor(position)
    t = position - low
    for k in range(4):
        index[k] = (low + k - 1) % count
    weight[0] = ((-0.5 * t + 1.0) * t - 0.5) * t
    weight[1] = (1.5 * t - 2.5) * t * t + 1.0
    weight[2] = ((-1.5 * t + 2.0) * t + 0.5) * t
    weight[3] = (0.5 * t - 0.5) * t * t
