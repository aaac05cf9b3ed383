"""The image of one bubble in its window of a frame, and its inner products with the residual.

Rows of a frame are taken as float32, real and imaginary parts in turn, so that the inner loops
are plain products of floats, which compile to vector instructions.
"""

from __future__ import annotations

import numpy as np

from napari_ulm3d._caches import njit

__all__ = ["FINE", "add", "along", "overlap", "power", "project", "swap", "window"]

FINE = 32
"""Entries per voxel in a profile's table."""

_SUMS = {"contract", "reassoc", "nsz"}
"""Sums of a row in any order; the order is fixed at compilation, so results are reproducible."""


@njit(cache=True, nogil=True, fastmath=_SUMS)
def window(shape, place, half, table, slope, low, size, g, gd, sums):  # type: ignore[no-untyped-def]
    """Window, 1-D profiles g and derivatives gd, and sums of |g|^2, conj(g) gd, |gd|^2."""
    reach = (table.shape[1] - 1) // (2 * FINE)
    for axis in range(3):
        middle = int(np.rint(place[axis]))
        low[axis] = min(max(middle - half[axis], 0), shape[axis] - 1)
        stop = max(min(middle + half[axis] + 1, shape[axis]), low[axis] + 1)
        n = stop - low[axis]
        size[axis] = n
        at = (low[axis] - place[axis] + reach) * FINE
        j = min(max(int(at), 0), table.shape[1] - 2 - (n - 1) * FINE)
        part = np.float32(at - j)
        rest = np.float32(1) - part
        m0, m1, m2 = 0.0, 0j, 0.0
        for i in range(n):
            v = table[axis, j] * rest + table[axis, j + 1] * part
            w = slope[axis, j] * rest + slope[axis, j + 1] * part
            g[axis, i], gd[axis, i] = v, w
            m0 += v.real * v.real + v.imag * v.imag
            m1 += np.conj(v) * w
            m2 += w.real * w.real + w.imag * w.imag
            j += FINE
        sums[axis, 0], sums[axis, 1], sums[axis, 2] = m0, m1, m2


@njit(cache=True, nogil=True)
def _interleave(profile, n, straight, turned):  # type: ignore[no-untyped-def]
    """Write a profile and i times its values as floats: real and imaginary parts in turn."""
    for i in range(n):
        v = profile[i]
        straight[2 * i], straight[2 * i + 1] = v.real, v.imag
        turned[2 * i], turned[2 * i + 1] = -v.imag, v.real


@njit(cache=True, nogil=True, fastmath=_SUMS)
def project(left, low, size, g, gd, rows):  # type: ignore[no-untyped-def]
    """Inner products of the residual with the image and its derivatives along z, y, x.

    `left` is a frame as floats, (z, y, 2 x); `rows` (4, n) is work space.
    """
    _interleave(g[2], size[2], rows[0], rows[1])
    _interleave(gd[2], size[2], rows[2], rows[3])
    u, iu, v, iv = rows[0], rows[1], rows[2], rows[3]
    s, sz, sy, sx = 0j, 0j, 0j, 0j
    zero = np.float32(0)
    start, stop = 2 * low[2], 2 * (low[2] + size[2])
    for i in range(size[0]):
        p, py, px = 0j, 0j, 0j
        plane = left[low[0] + i]
        for j in range(size[1]):
            row = plane[low[1] + j, start:stop]
            ar, ai, br, bi = zero, zero, zero, zero
            for k in range(row.size):
                r = row[k]
                ar += u[k] * r
                ai += iu[k] * r
                br += v[k] * r
                bi += iv[k] * r
            along, bent = complex(ar, ai), complex(br, bi)
            back = np.conj(g[1, j])
            p += along * back
            py += along * np.conj(gd[1, j])
            px += bent * back
        back = np.conj(g[0, i])
        s += p * back
        sz += p * np.conj(gd[0, i])
        sy += py * back
        sx += px * back
    return s, sz, sy, sx


@njit(cache=True, nogil=True, fastmath=_SUMS)
def add(left, amplitude, low, size, g, rows):  # type: ignore[no-untyped-def]
    """Add one image to the residual."""
    _interleave(g[2], size[2], rows[0], rows[1])
    u, iu = rows[0], rows[1]
    start, stop = 2 * low[2], 2 * (low[2] + size[2])
    for i in range(size[0]):
        plane = left[low[0] + i]
        for j in range(size[1]):
            share = np.complex64(amplitude * g[0, i] * g[1, j])
            real, imag = share.real, share.imag
            row = plane[low[1] + j, start:stop]
            for k in range(row.size):
                row[k] += real * u[k] + imag * iu[k]


@njit(cache=True, nogil=True, fastmath=_SUMS)
def swap(left, amplitude, low, size, g, other, to_low, to_size, to_g, rows):  # type: ignore[no-untyped-def]
    """Add an image to the residual and subtract another, whose amplitude is `other`."""
    same = True
    for axis in range(3):
        same &= low[axis] == to_low[axis] and size[axis] == to_size[axis]
    if not same:
        add(left, amplitude, low, size, g, rows)
        add(left, -other, to_low, to_size, to_g, rows)
        return
    _interleave(g[2], size[2], rows[0], rows[1])
    _interleave(to_g[2], size[2], rows[2], rows[3])
    u, iu, v, iv = rows[0], rows[1], rows[2], rows[3]
    start, stop = 2 * low[2], 2 * (low[2] + size[2])
    for i in range(size[0]):
        plane = left[low[0] + i]
        for j in range(size[1]):
            plus = np.complex64(amplitude * g[0, i] * g[1, j])
            minus = np.complex64(other * to_g[0, i] * to_g[1, j])
            a, b, c, d = plus.real, plus.imag, minus.real, minus.imag
            row = plane[low[1] + j, start:stop]
            for k in range(row.size):
                row[k] += a * u[k] + b * iu[k] - c * v[k] - d * iv[k]


@njit(cache=True, nogil=True, fastmath=_SUMS)
def overlap(low, size, g, to_low, to_size, to_g):  # type: ignore[no-untyped-def]
    """Inner product of the second of two images with the first."""
    out = 1 + 0j
    for axis in range(3):
        start = max(low[axis], to_low[axis])
        stop = min(low[axis] + size[axis], to_low[axis] + to_size[axis])
        along = 0j
        for i in range(start, stop):
            along += np.conj(to_g[axis, i - to_low[axis]]) * g[axis, i - low[axis]]
        out *= along
    return out


@njit(cache=True, nogil=True, fastmath=_SUMS)
def power(left, place, half):  # type: ignore[no-untyped-def]
    """Mean |residual|^2 in the window of a position; `left` as in `project`."""
    total, many = 0.0, 0
    start, stop = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for axis in range(3):
        middle = int(np.rint(place[axis]))
        extent = left.shape[axis] // (2 if axis == 2 else 1)
        start[axis] = max(middle - half[axis], 0)
        stop[axis] = min(middle + half[axis] + 1, extent)
    for z in range(start[0], stop[0]):
        for y in range(start[1], stop[1]):
            line = np.float32(0)
            row = left[z, y, 2 * start[2] : 2 * stop[2]]
            for k in range(row.size):
                line += row[k] * row[k]
            total += line
            many += stop[2] - start[2]
    return total / max(many, 1)


@njit(cache=True, nogil=True, fastmath=_SUMS)
def along(left, low, size, g, axis, total, rows):  # type: ignore[no-untyped-def]
    """Inner products with the profiles along the other two axes, for each voxel along `axis`."""
    total[:] = 0.0
    _interleave(g[2], size[2], rows[0], rows[1])
    u, iu = rows[0], rows[1]
    zero = np.float32(0)
    start, stop = 2 * low[2], 2 * (low[2] + size[2])
    for i in range(size[0]):
        plane = left[low[0] + i]
        for j in range(size[1]):
            row = plane[low[1] + j, start:stop]
            if axis == 2:
                back = np.conj(g[0, i] * g[1, j])
                for k in range(size[2]):
                    total[k] += complex(row[2 * k], row[2 * k + 1]) * back
                continue
            ar, ai = zero, zero
            for k in range(row.size):
                ar += u[k] * row[k]
                ai += iu[k] * row[k]
            if axis == 0:
                total[i] += complex(ar, ai) * np.conj(g[1, j])
            else:
                total[j] += complex(ar, ai) * np.conj(g[0, i])
