"""The width and the carrier of a bubble's image, measured in the frame itself.

The spatial autocorrelation of a frame of bubbles a_k g(r - r_k) at random positions and phases
is that of g; white noise contributes only at lag 0. For a Gaussian g of
standard deviation s with a carrier of w rad per voxel, R(d) = R(0) exp(-d^2 / 4 s^2)
exp(i w d), so lags 1 and 2 give s^2 = 3 / (4 ln |R(1)/R(2)|) and w = arg R(1).
(This is the pulse-pair method of Doppler ultrasound, Kasai et al. 1985, applied in space.)
"""

from __future__ import annotations

import numpy as np
from numba import prange

from napari_ulm3d._caches import njit

__all__ = ["DEFAULT_FWHM", "FWHM", "demodulate", "frame_widths", "measure_width", "split"]

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))  # full width at half maximum over sigma
DEFAULT_FWHM = 3.0  # voxels, if a frame contains nothing to measure
_NARROWEST, _WIDEST = 1.2 / FWHM, 7.0 / FWHM


# Allow the compiler to reorder sums, so that they vectorize.
_REORDER = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True)
def split(frame, real, imag):  # type: ignore[no-untyped-def]
    """Real and imaginary part of a frame, each into its own array."""
    for z in range(frame.shape[0]):
        for y in range(frame.shape[1]):
            for x in range(frame.shape[2]):
                real[z, y, x] = frame[z, y, x].real
                imag[z, y, x] = frame[z, y, x].imag


@njit(cache=True, nogil=True, fastmath=_REORDER)
def _lagged(real, imag, dz, dy, dx):  # type: ignore[no-untyped-def]
    """Autocorrelation of a frame (z, y, x) at one lag."""
    nz, ny, _ = real.shape
    total, total_imag = 0.0, 0.0
    for z in range(nz - dz):
        for y in range(ny - dy):
            row, row_imag = np.float32(0.0), np.float32(0.0)
            a, b = real[z, y], imag[z, y]
            c, d = real[z + dz, y + dy, dx:], imag[z + dz, y + dy, dx:]
            for x in range(c.size):
                row += c[x] * a[x] + d[x] * b[x]
                row_imag += d[x] * a[x] - c[x] * b[x]
            total += row
            total_imag += row_imag
    return total + 1j * total_imag


@njit(cache=True, nogil=True)
def measure_width(real, imag, sigma, carrier):  # type: ignore[no-untyped-def]
    """Write sigma (3,) in voxels and carrier (3,) in rad per voxel of a frame (z, y, x).

    Axes of fewer than three voxels, and frames without coherent signal, get a full width
    at half maximum of three voxels and no carrier; widths are limited to 1.2 .. 7 voxels.
    """
    for axis in range(3):
        sigma[axis] = DEFAULT_FWHM / FWHM
        carrier[axis] = 0.0
        n = real.shape[axis]
        if n < 3:
            continue
        one = _lagged(real, imag, int(axis == 0), int(axis == 1), int(axis == 2)) / (n - 1)
        two = _lagged(real, imag, 2 * (axis == 0), 2 * (axis == 1), 2 * (axis == 2)) / (n - 2)
        if abs(one) > abs(two) > 0.0:
            fitted = np.sqrt(0.75 / np.log(abs(one) / abs(two)))
            sigma[axis] = min(max(fitted, _NARROWEST), _WIDEST)
            carrier[axis] = np.arctan2(one.imag, one.real)


@njit(cache=True, nogil=True)
def demodulate(real, imag, carrier):  # type: ignore[no-untyped-def]
    """Remove the carrier from a frame, in place."""
    nz, ny, nx = real.shape
    cosine, sine = np.empty(nx, np.float32), np.empty(nx, np.float32)
    for x in range(nx):
        cosine[x], sine[x] = np.cos(carrier[2] * x), -np.sin(carrier[2] * x)
    for z in range(nz):
        for y in range(ny):
            phase = carrier[0] * z + carrier[1] * y
            c, s = np.float32(np.cos(phase)), np.float32(-np.sin(phase))
            a, b = real[z, y], imag[z, y]
            for x in range(nx):
                turn_cosine = c * cosine[x] - s * sine[x]
                turn_sine = c * sine[x] + s * cosine[x]
                one = a[x] * turn_cosine - b[x] * turn_sine
                b[x] = a[x] * turn_sine + b[x] * turn_cosine
                a[x] = one


@njit(cache=True, parallel=True, nogil=True)
def frame_widths(frames, sigma):  # type: ignore[no-untyped-def]
    """Write the width (t, 3), voxels, of the bubbles in each frame of (t, z, y, x)."""
    for t in prange(frames.shape[0]):
        real = np.empty(frames.shape[1:], np.float32)
        imag = np.empty(frames.shape[1:], np.float32)
        split(frames[t], real, imag)
        measure_width(real, imag, sigma[t], np.empty(3))
