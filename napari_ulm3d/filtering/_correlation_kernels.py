"""Compiled inner loops of the correlation map and of local maxima, one frame at a time.

A frame is stored in a flat buffer whose rows (along x) are `pitch` apart: x voxels, then at
least half a patch of zeros. These zeros end one row and begin the next, so a shift
along any axis is a shift of one long, contiguous range, which the compiler can
vectorize.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_ulm3d._caches import njit

__all__ = [
    "maxima_above",
    "normalize_complex",
    "normalize_real",
    "separable_complex",
    "separable_real",
]

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
}

EMPTY = 1e-20
"""Patch energy, relative to the strongest voxel of the frame, at or below which c is 0."""
FLAT = 1e-12
"""Fraction of a real patch's energy remaining after subtracting the mean, below which c is 0."""


@njit(**_OPTIONS)
def _add_scaled(target, source, factor):  # type: ignore[no-untyped-def]
    for i in range(target.size):
        target[i] += factor * source[i]


@njit(**_OPTIONS)
def _pass(target, source, taps, axis, shape, pitch, guard):  # type: ignore[no-untyped-def]
    """target += sum_k taps[k] * source shifted by k - h along an axis, with zeros outside."""
    nz, ny, _ = shape
    plane = ny * pitch
    half = taps.size // 2
    for z in range(nz):
        start = guard + z * plane
        for k in range(taps.size):
            tap, shift = taps[k], k - half
            if tap == 0:
                continue
            if axis == 2:
                _add_scaled(
                    target[start : start + plane],
                    source[start + shift : start + shift + plane],
                    tap,
                )
            elif axis == 1:
                low, high = max(0, -shift), min(ny, ny - shift)
                if low < high:
                    a, b = start + low * pitch, start + high * pitch
                    _add_scaled(target[a:b], source[a + shift * pitch : b + shift * pitch], tap)
            elif 0 <= z + shift < nz:
                a = start + shift * plane
                _add_scaled(target[start : start + plane], source[a : a + plane], tap)


@njit(**_OPTIONS)
def _box(first, second, half, shape, pitch, guard):  # type: ignore[no-untyped-def]
    """Sum over the in-bounds voxels of the patch from `first` to `second`; both are overwritten."""
    for step in range(3):
        axis = 2 - step
        ones = np.ones(2 * half[axis] + 1, first.dtype)
        source, target = (first, second) if step % 2 == 0 else (second, first)
        target[:] = 0
        _pass(target, source, ones, axis, shape, pitch, guard)


@njit(**_OPTIONS)
def _power_of_two(peak):  # type: ignore[no-untyped-def]
    """The power of two that scales `peak` to [0.5, 1), without rounding errors."""
    if not 0 < peak < np.inf:
        return 1.0
    return math.ldexp(1.0, -math.frexp(peak)[1])


@njit(**_OPTIONS)
def _scale_complex(frame):  # type: ignore[no-untyped-def]
    peak = 0.0
    for value in frame.flat:
        peak = max(peak, abs(value.real), abs(value.imag))
    return _power_of_two(peak)


@njit(**_OPTIONS)
def _scale_real(frame):  # type: ignore[no-untyped-def]
    peak = 0.0
    for value in frame.flat:
        peak = max(peak, abs(value))
    return _power_of_two(peak)


@njit(**_OPTIONS)
def _finish_complex(sum_re, sum_im, energy, psf_energy):  # type: ignore[no-untyped-def]
    if energy <= EMPTY:
        return np.complex64(0)
    gain = 1.0 / math.sqrt(np.float64(energy) * np.float64(psf_energy))
    re, im = sum_re * gain, sum_im * gain
    size = re * re + im * im
    if size > 1:  # rounding
        shrink = (1 - 6e-8) / math.sqrt(size)
        re, im = re * shrink, im * shrink
    return np.complex64(complex(re, im))


@njit(
    "void(complex64[:,:,:,::1], complex64[::1], complex64[::1], complex64[::1],"
    " float32[:,:,::1], complex64[:,:,:,::1])",
    **_OPTIONS,
)
def separable_complex(frames, fz, fy, fx, psf_energy, out):  # type: ignore[no-untyped-def]
    """Correlation of complex frames with fz x fy x fx (conjugated here)."""
    nt, nz, ny, nx = frames.shape
    shape = (nz, ny, nx)
    half = (fz.size // 2, fy.size // 2, fx.size // 2)
    guard, pitch = half[2], nx + half[2]
    size = 2 * guard + nz * ny * pitch
    a_re, a_im = np.zeros(size, np.float32), np.zeros(size, np.float32)
    b_re, b_im = np.zeros(size, np.float32), np.zeros(size, np.float32)
    energy, scratch = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for t in range(nt):
        scale = _scale_complex(frames[t])
        a_re[:], a_im[:], energy[:] = 0, 0, 0
        for z in range(nz):
            for y in range(ny):
                i = guard + (z * ny + y) * pitch
                for x in range(nx):
                    re = np.float32(frames[t, z, y, x].real * scale)
                    im = np.float32(frames[t, z, y, x].imag * scale)
                    a_re[i + x], a_im[i + x], energy[i + x] = re, im, re * re + im * im
        for step in range(3):
            axis = 2 - step
            taps = fx if axis == 2 else (fy if axis == 1 else fz)
            re_taps, im_taps = taps.real.copy(), taps.imag.copy()
            if step % 2 == 0:
                s_re, s_im, t_re, t_im = a_re, a_im, b_re, b_im
            else:
                s_re, s_im, t_re, t_im = b_re, b_im, a_re, a_im
            t_re[:], t_im[:] = 0, 0
            _pass(t_re, s_re, re_taps, axis, shape, pitch, guard)
            _pass(t_im, s_im, re_taps, axis, shape, pitch, guard)
            _pass(t_re, s_im, im_taps, axis, shape, pitch, guard)
            _pass(t_im, s_re, -im_taps, axis, shape, pitch, guard)
        _box(energy, scratch, half, shape, pitch, guard)
        for z in range(nz):
            for y in range(ny):
                i = guard + (z * ny + y) * pitch
                for x in range(nx):
                    out[t, z, y, x] = _finish_complex(
                        b_re[i + x],
                        b_im[i + x],
                        scratch[i + x],
                        psf_energy[z, y, x],
                    )


@njit(
    "void(complex64[:,:,::1], complex128[:,:,::1], int64[::1], float32[:,:,::1],"
    " complex64[:,:,::1])",
    **_OPTIONS,
)
def normalize_complex(frame, sums, halves, psf_energy, out):  # type: ignore[no-untyped-def]
    """Normalize one complex frame, given its plain correlation `sums`."""
    nz, ny, nx = frame.shape
    shape = (nz, ny, nx)
    half = (halves[0], halves[1], halves[2])
    guard, pitch = half[2], nx + half[2]
    energy = np.zeros(2 * guard + nz * ny * pitch, np.float32)
    scratch = np.zeros_like(energy)
    scale = _scale_complex(frame)
    for z in range(nz):
        for y in range(ny):
            i = guard + (z * ny + y) * pitch
            for x in range(nx):
                re = np.float32(frame[z, y, x].real * scale)
                im = np.float32(frame[z, y, x].imag * scale)
                energy[i + x] = re * re + im * im
    _box(energy, scratch, half, shape, pitch, guard)
    for z in range(nz):
        for y in range(ny):
            i = guard + (z * ny + y) * pitch
            for x in range(nx):
                value = sums[z, y, x] * scale
                out[z, y, x] = _finish_complex(
                    value.real, value.imag, scratch[i + x], psf_energy[z, y, x]
                )


@njit(**_OPTIONS)
def _finish_real(total, s1, s2, p1, p2, count):  # type: ignore[no-untyped-def]
    product = total - p1 * s1 / count
    psf_spread = p2 - p1 * p1 / count
    if psf_spread <= FLAT * p2:
        return np.float32(0)
    spread = s2 - s1 * s1 / count
    if s2 <= EMPTY or spread <= FLAT * s2:
        return np.float32(0)
    value = product / math.sqrt(spread * psf_spread)
    return np.float32(min(1.0, max(-1.0, value)))


@njit(**_OPTIONS)
def _real_frame(frame, total, half, p1, p2, count, out, scale):  # type: ignore[no-untyped-def]
    """Means and energies of the patches, then the zero-normalized correlation."""
    nz, ny, nx = frame.shape
    shape = (nz, ny, nx)
    guard, pitch = half[2], nx + half[2]
    values, squares = np.zeros(total.size), np.zeros(total.size)
    s1, s2 = np.zeros(total.size), np.zeros(total.size)
    for z in range(nz):
        for y in range(ny):
            i = guard + (z * ny + y) * pitch
            for x in range(nx):
                value = frame[z, y, x] * scale
                values[i + x], squares[i + x] = value, value * value
    _box(values, s1, half, shape, pitch, guard)
    _box(squares, s2, half, shape, pitch, guard)
    for z in range(nz):
        for y in range(ny):
            i = guard + (z * ny + y) * pitch
            for x in range(nx):
                out[z, y, x] = _finish_real(
                    total[i + x], s1[i + x], s2[i + x],
                    p1[z, y, x], p2[z, y, x], count[z, y, x],
                )  # fmt: skip


@njit(
    "void(float32[:,:,:,::1], float64[::1], float64[::1], float64[::1], float64[:,:,::1],"
    " float64[:,:,::1], float64[:,:,::1], float32[:,:,:,::1])",
    **_OPTIONS,
)
def separable_real(frames, fz, fy, fx, p1, p2, count, out):  # type: ignore[no-untyped-def]
    """Correlation of real frames with fz x fy x fx, after subtracting means; double precision."""
    nt, nz, ny, nx = frames.shape
    shape = (nz, ny, nx)
    half = (fz.size // 2, fy.size // 2, fx.size // 2)
    guard, pitch = half[2], nx + half[2]
    a = np.zeros(2 * guard + nz * ny * pitch)
    b = np.zeros_like(a)
    for t in range(nt):
        scale = _scale_real(frames[t])
        a[:] = 0
        for z in range(nz):
            for y in range(ny):
                i = guard + (z * ny + y) * pitch
                for x in range(nx):
                    a[i + x] = frames[t, z, y, x] * scale
        b[:] = 0
        _pass(b, a, fx, 2, shape, pitch, guard)
        a[:] = 0
        _pass(a, b, fy, 1, shape, pitch, guard)
        b[:] = 0
        _pass(b, a, fz, 0, shape, pitch, guard)
        _real_frame(frames[t], b, half, p1, p2, count, out[t], scale)


@njit(
    "void(float32[:,:,::1], float64[:,:,::1], int64[::1], float64[:,:,::1],"
    " float64[:,:,::1], float64[:,:,::1], float32[:,:,::1])",
    **_OPTIONS,
)
def normalize_real(frame, sums, halves, p1, p2, count, out):  # type: ignore[no-untyped-def]
    """Normalize one real frame, given its plain correlation `sums`."""
    nz, ny, nx = frame.shape
    half = (halves[0], halves[1], halves[2])
    guard, pitch = half[2], nx + half[2]
    total = np.zeros(2 * guard + nz * ny * pitch)
    scale = _scale_real(frame)
    for z in range(nz):
        for y in range(ny):
            i = guard + (z * ny + y) * pitch
            for x in range(nx):
                total[i + x] = sums[z, y, x] * scale
    _real_frame(frame, total, half, p1, p2, count, out, scale)


@njit(cache=True, nogil=True)
def maxima_above(image, least, height):  # type: ignore[no-untyped-def]
    """Write the values of local maxima above `least` to `height`, and 0 elsewhere.

    A voxel is a maximum if none of its 26 neighbours is larger.

    Parameters
    ----------
    image
        (z, y, x) float32.
    least
        Maxima up to this are omitted.
    height
        (z, y, x) float32, overwritten.
    """
    nz, ny, nx = image.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                height[z, y, x] = 0.0
                value = image[z, y, x]
                if not value > least:
                    continue
                largest = True
                for i in range(max(z - 1, 0), min(z + 2, nz)):
                    for j in range(max(y - 1, 0), min(y + 2, ny)):
                        for k in range(max(x - 1, 0), min(x + 2, nx)):
                            if image[i, j, k] > value:
                                largest = False
                if largest:
                    height[z, y, x] = value
