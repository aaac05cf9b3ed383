"""Inner products of the joint fit: one bubble's image with the residual.

A frame is modelled as the sum over bubbles of a_k h_z(z - z_k) h_y(y - y_k) h_x(x - x_k) with
complex amplitudes a_k and tabulated complex profiles h (see `image`). The *residual*, the
frames minus all models, is kept in memory. Profiles separate along the axes, so a bubble
costs two passes over its window.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from napari_ulm3d._caches import njit

__all__ = ["COLOURS", "FINE", "evidence", "profile_samples", "residual_powers", "sweep", "take_off"]

FINE = 32
"""Entries per voxel in a profile's table."""
COLOURS = 3
"""A bubble's expected position depends on those up to two frames away. Frames of one colour,
every third one, can therefore be fitted in parallel, with results independent of threads."""

_CONTRACT = {"contract"}
_LARGEST_STEP = 0.5  # voxels in one Gauss-Newton step
_STILL = 0.01  # voxels: a bubble that moved less, and whose neighbours did, has converged


@njit(cache=True, nogil=True)
def _window(shape, place, half, table, slope, low, size, g, gd, sums):  # type: ignore[no-untyped-def]
    """Window, 1-D profiles g and derivatives gd, and sums of |g|^2, conj(g) gd, |gd|^2."""
    reach = (table.shape[1] - 1) // (2 * FINE)
    for axis in range(3):
        middle = int(np.rint(place[axis]))
        low[axis] = min(max(middle - half[axis], 0), shape[axis] - 1)
        stop = max(min(middle + half[axis] + 1, shape[axis]), low[axis] + 1)
        size[axis] = stop - low[axis]
        m0, m1, m2 = 0.0, 0j, 0.0
        for i in range(size[axis]):
            at = (low[axis] + i - place[axis] + reach) * FINE
            j = min(max(int(at), 0), table.shape[1] - 2)
            part = np.float32(at - j)
            v = table[axis, j] * (np.float32(1) - part) + table[axis, j + 1] * part
            w = slope[axis, j] * (np.float32(1) - part) + slope[axis, j + 1] * part
            g[axis, i], gd[axis, i] = v, w
            m0 += v.real * v.real + v.imag * v.imag
            m1 += np.conj(v) * w
            m2 += w.real * w.real + w.imag * w.imag
        sums[axis, 0], sums[axis, 1], sums[axis, 2] = m0, m1, m2


@njit(cache=True, nogil=True, fastmath=_CONTRACT)
def _project(left, low, size, g, gd):  # type: ignore[no-untyped-def]
    """Inner products of the residual with the image and its derivatives along z, y, x."""
    s, sz, sy, sx = 0j, 0j, 0j, 0j
    zero = np.float32(0)
    for i in range(size[0]):
        p, py, px = 0j, 0j, 0j
        for j in range(size[1]):
            row = left[low[0] + i, low[1] + j, low[2] : low[2] + size[2]]
            ar, ai, br, bi = zero, zero, zero, zero
            for k in range(row.size):
                r, u, v = row[k], g[2, k], gd[2, k]
                ar += u.real * r.real + u.imag * r.imag
                ai += u.real * r.imag - u.imag * r.real
                br += v.real * r.real + v.imag * r.imag
                bi += v.real * r.imag - v.imag * r.real
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


@njit(cache=True, nogil=True, fastmath=_CONTRACT)
def _add(left, amplitude, low, size, g):  # type: ignore[no-untyped-def]
    """Add one image to the residual."""
    for i in range(size[0]):
        for j in range(size[1]):
            share = np.complex64(amplitude * g[0, i] * g[1, j])
            row = left[low[0] + i, low[1] + j, low[2] : low[2] + size[2]]
            for k in range(row.size):
                row[k] += share * g[2, k]


@njit(cache=True, nogil=True)
def _expected(k, place, before, after, mean):  # type: ignore[no-untyped-def]
    """Position with zero second differences, from the rows before and after, and its weight.

    A bubble is part of up to three second differences along its track; the weight is their total
    precision, in units of the precision of one second difference.
    """
    mean[:] = 0.0
    weight = 0.0
    p, n = before[k], after[k]
    if p >= 0 and n >= 0:
        mean += 2.0 * (place[p] + place[n])
        weight += 4.0
    if p >= 0 and before[p] >= 0:
        mean += 2.0 * place[p] - place[before[p]]
        weight += 1.0
    if n >= 0 and after[n] >= 0:
        mean += 2.0 * place[n] - place[after[n]]
        weight += 1.0
    if weight > 0:
        mean /= weight
    return weight


@njit(cache=True, nogil=True)
def _rests(k, low, high, place, moved, before, after, half):  # type: ignore[no-untyped-def]
    """Whether a bubble, its own neighbours and all bubbles that overlap its core are still."""
    if moved[k] > _STILL:
        return False
    for j in (before[k], after[k]):
        if j >= 0 and moved[j] > _STILL:
            return False
    for j in range(low, high):
        if (
            moved[j] > _STILL
            and abs(place[j, 0] - place[k, 0]) <= half[0] + 1
            and abs(place[j, 1] - place[k, 1]) <= half[1] + 1
            and abs(place[j, 2] - place[k, 2]) <= half[2] + 1
        ):
            return False
    return True


@njit(cache=True, nogil=True, parallel=True)
def sweep(  # type: ignore[no-untyped-def]
    left, colour, first, place, anchor, amplitude, before, after, said, trust, noise, jerk,
    moved, half, limit, table, slope,
):  # fmt: skip
    """Perform one Gauss-Newton step of every bubble in the frames of a colour.

    Bubbles are updated one after the other on the residual of the others (block
    coordinate descent; Fessler & Hero 1994). The amplitude is eliminated from the step and
    fitted again afterwards. Along a track, the position is constrained by its second difference,
    normally distributed with standard deviation `jerk`, and, if `trust` is not 0, by the position
    `said`, with that precision. A bubble with amplitude 0 is new and gets its fitted
    amplitude.
    """
    n_turns = (left.shape[0] - colour + COLOURS - 1) // COLOURS
    for turn in prange(n_turns):
        t = colour + turn * COLOURS
        shape = np.array(left.shape[1:])
        low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
        width = 2 * half.max() + 1
        g, gd = np.zeros((3, width), np.complex64), np.zeros((3, width), np.complex64)
        sums = np.zeros((3, 3), np.complex128)
        normal, right, mean = np.zeros(3), np.zeros(3), np.zeros(3)
        for k in range(first[t], first[t + 1]):
            if _rests(k, first[t], first[t + 1], place, moved, before, after, half):
                continue
            _window(shape, place[k], half, table, slope, low, size, g, gd, sums)
            own = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real
            s, sz, sy, sx = _project(left[t], low, size, g, gd)
            a = amplitude[k]
            if a == 0:
                amplitude[k] = s / own
                _add(left[t], -amplitude[k], low, size, g)
                moved[k] = 1.0
                continue
            weight = _expected(k, place, before, after, mean)
            for i, si in enumerate((sz, sy, sx)):
                # The amplitude is eliminated, after which the axes of a separable image do not
                # mix. The image moves against its argument: its derivative by position is -gd.
                slant = sums[i, 1] / sums[i, 0].real
                bend = sums[i, 2].real / sums[i, 0].real - abs(slant) ** 2
                scale = 2.0 / noise[k]
                normal[i] = scale * abs(a) ** 2 * own * bend
                right[i] = scale * (np.conj(a) * (np.conj(slant) * s - si)).real
                if weight > 0:
                    hold = weight / (jerk[i] * jerk[i])
                    normal[i] += hold
                    right[i] += hold * (mean[i] - place[k, i])
                normal[i] += trust[k, i]
                right[i] += trust[k, i] * (said[k, i] - place[k, i])
            _add(left[t], a, low, size, g)
            far = 0.0
            for i in range(3):
                if shape[i] == 1 or not normal[i] > 0.0:
                    continue
                go = min(max(right[i] / normal[i], -_LARGEST_STEP), _LARGEST_STEP)
                to = min(max(place[k, i] + go, anchor[k, i] - limit), anchor[k, i] + limit)
                to = min(max(to, -0.5), shape[i] - 0.5)
                far = max(far, abs(to - place[k, i]))
                place[k, i] = to
            _window(shape, place[k], half, table, slope, low, size, g, gd, sums)
            own = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real
            amplitude[k] = _project(left[t], low, size, g, gd)[0] / own
            _add(left[t], -amplitude[k], low, size, g)
            moved[k] = far


@njit(cache=True, nogil=True, parallel=True)
def take_off(left, first, place, amplitude, half, table, slope):  # type: ignore[no-untyped-def]
    """Subtract the images of all bubbles from the frames."""
    for t in prange(left.shape[0]):
        shape = np.array(left.shape[1:])
        low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
        width = 2 * half.max() + 1
        g, gd = np.zeros((3, width), np.complex64), np.zeros((3, width), np.complex64)
        sums = np.zeros((3, 3), np.complex128)
        for k in range(first[t], first[t + 1]):
            if amplitude[k] != 0:
                _window(shape, place[k], half, table, slope, low, size, g, gd, sums)
                _add(left[t], -amplitude[k], low, size, g)


@njit(cache=True, nogil=True, parallel=True)
def residual_powers(left, first, place, half, floor, out):  # type: ignore[no-untyped-def]
    """Write the mean |residual|^2 in each bubble's window, at least `floor`, to `out` (n,)."""
    for t in prange(left.shape[0]):
        for k in range(first[t], first[t + 1]):
            total, many = 0.0, 0
            start, stop = np.zeros(3, np.int64), np.zeros(3, np.int64)
            for axis in range(3):
                middle = int(np.rint(place[k, axis]))
                start[axis] = max(middle - half[axis], 0)
                stop[axis] = min(middle + half[axis] + 1, left.shape[1 + axis])
            for z in range(start[0], stop[0]):
                for y in range(start[1], stop[1]):
                    line = np.float32(0)
                    for r in left[t, z, y, start[2] : stop[2]]:
                        line += r.real * r.real + r.imag * r.imag
                    total += line
                    many += stop[2] - start[2]
            out[k] = max(total / max(many, 1), floor)


@njit(cache=True, nogil=True, parallel=True)
def evidence(  # type: ignore[no-untyped-def]
    shape, first, place, amplitude, before, after, trust, noise, jerk, half, table, slope,
    energy, deviation,
):  # fmt: skip
    """Energy of each image relative to the noise power, and standard deviation of its position.

    Written to `energy` (n,) and `deviation` (n, 3) voxels: the Cramer-Rao bound for fixed other
    bubbles, combined with the track's constraint on the position; 0 along an axis with one voxel.
    """
    for t in prange(first.size - 1):
        low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
        width = 2 * half.max() + 1
        g, gd = np.zeros((3, width), np.complex64), np.zeros((3, width), np.complex64)
        sums, mean = np.zeros((3, 3), np.complex128), np.zeros(3)
        for k in range(first[t], first[t + 1]):
            _window(shape, place[k], half, table, slope, low, size, g, gd, sums)
            own = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real
            energy[k] = abs(amplitude[k]) ** 2 * own / noise[k]
            weight = _expected(k, place, before, after, mean)
            for i in range(3):
                slant = abs(sums[i, 1]) / sums[i, 0].real
                bend = sums[i, 2].real / sums[i, 0].real - slant * slant
                known = 2.0 * energy[k] * bend + weight / (jerk[i] * jerk[i]) + trust[k, i]
                deviation[k, i] = 1.0 / np.sqrt(known) if shape[i] > 1 and known > 0 else 0.0


@njit(cache=True, nogil=True)
def profile_samples(  # type: ignore[no-untyped-def]
    left, first, place, amplitude, chosen, half, table, slope, axis, distance, value, weight
):
    """Project the residual of chosen bubbles on the profiles along the other two axes.

    Writes, for each voxel along `axis` in the window of each bubble, its distance from the
    bubble (voxels), the missing part of the profile there, and its weight in least squares.
    Returns the number of samples written.
    """
    shape = np.array(left.shape[1:])
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    width = 2 * half.max() + 1
    g, gd = np.zeros((3, width), np.complex64), np.zeros((3, width), np.complex64)
    sums = np.zeros((3, 3), np.complex128)
    total = np.zeros(width, np.complex128)
    n = 0
    for t in range(left.shape[0]):
        for k in range(first[t], first[t + 1]):
            if not chosen[k]:
                continue
            _window(shape, place[k], half, table, slope, low, size, g, gd, sums)
            total[:] = 0.0
            for i in range(size[0]):
                for j in range(size[1]):
                    for m in range(size[2]):
                        r = left[t, low[0] + i, low[1] + j, low[2] + m]
                        if axis == 0:
                            total[i] += r * np.conj(g[1, j] * g[2, m])
                        elif axis == 1:
                            total[j] += r * np.conj(g[0, i] * g[2, m])
                        else:
                            total[m] += r * np.conj(g[0, i] * g[1, j])
            rest = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real / sums[axis, 0].real
            for i in range(size[axis]):
                distance[n] = low[axis] + i - place[k, axis]
                value[n] = total[i] / (amplitude[k] * rest)
                weight[n] = abs(amplitude[k]) ** 2 * rest
                n += 1
    return n
