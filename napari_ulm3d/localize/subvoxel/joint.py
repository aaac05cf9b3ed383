"""Joint least-squares fit of overlapping complex Gaussians, the core of `gaussian`.

A frame is modelled as sum_k a_k exp(-|r - r_k|^2 / 2 s^2) with complex a_k. The *residual*,
the frame minus all models, is kept in memory. A *sweep* visits the bubbles in turn
and takes a Gauss-Newton step of the five parameters of each on the residual in its
window (block coordinate descent; the space-alternating scheme of Fessler & Hero 1994).
Gaussians are separable along the axes, so a step costs two passes over the window.
"""

from __future__ import annotations

import numpy as np

from napari_ulm3d._caches import njit

__all__ = [
    "ALIVE",
    "FAILED",
    "FAINT",
    "MERGED",
    "normal_matrix",
    "project",
    "solve",
    "subtract",
    "sweep",
    "weights",
]

ALIVE, FAILED, FAINT, MERGED = 0, 1, 2, 3
_CONTRACT = {"contract"}  # fused multiply-add
_LARGEST_STEP = 0.5  # voxels per Gauss-Newton step
_COHERENT = 0.45  # minimum ratio of matched amplitude to peak: bubbles ~1, noise 0.1 to 0.3
_STILL = 0.02  # voxels: a bubble that moves less, as do its neighbours, has converged


@njit(cache=True, nogil=True)
def weights(shape, centre, sigma, half, low, size, g, gd, sums):  # type: ignore[no-untyped-def]
    """Window, 1-D Gaussians g, first moments gd = g d, and sums of g g, g g d, g g d d."""
    for axis in range(3):
        middle = int(np.rint(centre[axis]))
        low[axis] = min(max(middle - half[axis], 0), shape[axis] - 1)
        stop = max(min(middle + half[axis] + 1, shape[axis]), low[axis] + 1)
        size[axis] = stop - low[axis]
        scale = -0.5 / (sigma[axis] * sigma[axis])
        m0, m1, m2 = 0.0, 0.0, 0.0
        # exp(s (d + 1)^2) = exp(s d^2) exp(s (2 d + 1)): a product instead of an exponential.
        d = low[axis] - centre[axis]
        value, ratio, bend = (
            np.exp(scale * d * d),
            np.exp(scale * (2.0 * d + 1.0)),
            np.exp(2.0 * scale),
        )
        for i in range(size[axis]):
            d = low[axis] + i - centre[axis]
            g[axis, i] = value
            gd[axis, i] = value * d
            m0 += value * value
            m1 += value * value * d
            m2 += value * value * d * d
            value *= ratio
            ratio *= bend
        sums[axis, 0], sums[axis, 1], sums[axis, 2] = m0, m1, m2


@njit(cache=True, nogil=True)
def normal_matrix(sums, sigma, strength, free, normal):  # type: ignore[no-untyped-def]
    """Normal matrix (4, 4) of Re(a), z, y, x, with the phase chosen such that a > 0."""
    for i in range(4):
        for j in range(i, 4):
            value = 1.0
            for axis in range(3):
                value *= sums[axis, (i == axis + 1) + (j == axis + 1)]
            if i:
                value *= strength / (sigma[i - 1] * sigma[i - 1])
            if j:
                value *= strength / (sigma[j - 1] * sigma[j - 1])
            if (i and not free[i - 1]) or (j and not free[j - 1]):
                value = 1.0 if i == j else 0.0
            normal[i, j] = value
            normal[j, i] = value


@njit(cache=True, nogil=True)
def solve(normal, right):  # type: ignore[no-untyped-def]
    """Solve a small system in place by Cholesky; False if it is not positive definite."""
    n = right.size
    for i in range(n):
        for j in range(i + 1):
            value = normal[i, j]
            for k in range(j):
                value -= normal[i, k] * normal[j, k]
            if i == j:
                if not value > 1e-12 * normal[i, i]:
                    return False
                normal[i, i] = np.sqrt(value)
            else:
                normal[i, j] = value / normal[j, j]
    for i in range(n):
        value = right[i]
        for k in range(i):
            value -= normal[i, k] * right[k]
        right[i] = value / normal[i, i]
    for i in range(n - 1, -1, -1):
        value = right[i]
        for k in range(i + 1, n):
            value -= normal[k, i] * right[k]
        right[i] = value / normal[i, i]
    return True


@njit(cache=True, nogil=True, fastmath=_CONTRACT)
def subtract(real, imag, amplitude, low, size, g):  # type: ignore[no-untyped-def]
    """Subtract one model from the residual."""
    gx = g[2]
    ny, nx = real.shape[1], real.shape[2]
    real, imag = real.reshape(real.size), imag.reshape(imag.size)
    for i in range(size[0]):
        at = ((low[0] + i) * ny + low[1]) * nx + low[2]
        for j in range(size[1]):
            share = g[0, i] * g[1, j]
            a, b = np.float32(amplitude.real * share), np.float32(amplitude.imag * share)
            row, row_imag = real[at : at + size[2]], imag[at : at + size[2]]
            for k in range(row.size):
                row[k] -= a * gx[k]
                row_imag[k] -= b * gx[k]
            at += nx


@njit(cache=True, nogil=True, fastmath=_CONTRACT)
def _exchange(real, imag, old, g_old, new, g, low, size):  # type: ignore[no-untyped-def]
    """Add one model to the residual and subtract another, in one window."""
    gx, gx_old = g[2], g_old[2]
    ny, nx = real.shape[1], real.shape[2]
    real, imag = real.reshape(real.size), imag.reshape(imag.size)
    for i in range(size[0]):
        at = ((low[0] + i) * ny + low[1]) * nx + low[2]
        for j in range(size[1]):
            share, share_old = g[0, i] * g[1, j], g_old[0, i] * g_old[1, j]
            a, b = np.float32(new.real * share), np.float32(new.imag * share)
            c, d = np.float32(old.real * share_old), np.float32(old.imag * share_old)
            row, row_imag = real[at : at + size[2]], imag[at : at + size[2]]
            for k in range(row.size):
                row[k] += c * gx_old[k] - a * gx[k]
                row_imag[k] += d * gx_old[k] - b * gx[k]
            at += nx


@njit(cache=True, nogil=True)
def sweep(  # type: ignore[no-untyped-def]
    real, imag, position, start, amplitude, state, step, count, sigma, half, limit
):
    """One Gauss-Newton step of every bubble; returns whether all have converged.

    `step` (n,) is the last step of every bubble in voxels; bubbles that have converged along
    with their neighbours are skipped. A bubble of amplitude 0 is new: it gets
    its matched amplitude, or is dropped as faint if that is far below its peak.
    """
    shape = np.array(real.shape)
    width = 2 * max(half[0], half[1], half[2]) + 1
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    g, gd = np.zeros((3, width), np.float32), np.zeros((3, width), np.float32)
    sums, normal = np.zeros((3, 3)), np.zeros((4, 4))
    low_old, size_old, g_old = low.copy(), size.copy(), g.copy()
    right, centre = np.zeros(4), np.zeros(3)
    free = np.array([n > 1 for n in real.shape])
    longest = 0.0
    for k in range(count):
        if state[k] != ALIVE or _settled(k, position, state, step, count, half):
            continue
        weights(shape, position[k], sigma, half, low, size, g, gd, sums)
        norm = sums[0, 0] * sums[1, 0] * sums[2, 0]
        s0, sz, sy, sx = project(real, imag, low, size, g, gd)
        old = amplitude[k]
        moved = 0.0
        centre[:] = position[k]
        if old == 0.0:
            new = s0 / norm
            z, y, x = int(start[k, 0]), int(start[k, 1]), int(start[k, 2])
            if abs(new) < _COHERENT * np.hypot(real[z, y, x], imag[z, y, x]):
                state[k] = FAINT
                continue
            moved = 1.0
        else:
            strength = abs(old)
            turn = np.conj(old) / strength
            right[0] = (s0 * turn).real
            right[1] = (sz * turn).real * strength / sigma[0] ** 2 * free[0]
            right[2] = (sy * turn).real * strength / sigma[1] ** 2 * free[1]
            right[3] = (sx * turn).real * strength / sigma[2] ** 2 * free[2]
            normal_matrix(sums, sigma, strength, free, normal)
            if not solve(normal, right):
                state[k] = FAILED
                continue
            new = old + (right[0] + 1j * (s0 * turn).imag / norm) * np.conj(turn)
            for axis in range(3):
                go = min(max(right[axis + 1], -_LARGEST_STEP), _LARGEST_STEP)
                to = min(max(centre[axis] + go, start[k, axis] - limit), start[k, axis] + limit)
                moved = max(moved, abs(to - centre[axis]))
                centre[axis] = to
            low_old[:], size_old[:], g_old[:] = low, size, g
            weights(shape, centre, sigma, half, low, size, g, gd, sums)
            if (low == low_old).all():
                _exchange(real, imag, old, g_old, new, g, low, size)
            else:
                subtract(real, imag, -old, low_old, size_old, g_old)
                subtract(real, imag, new, low, size, g)
        if old == 0.0:
            subtract(real, imag, new, low, size, g)
        position[k] = centre
        amplitude[k] = new
        step[k] = moved
        longest = max(longest, moved)
    return longest <= _STILL


@njit(cache=True, nogil=True)
def _settled(k, position, state, step, count, half):  # type: ignore[no-untyped-def]
    """Whether a bubble and all whose windows reach its core have converged."""
    if step[k] > _STILL:
        return False
    for j in range(count):
        if (
            step[j] > _STILL
            and state[j] == ALIVE
            and abs(position[j, 0] - position[k, 0]) <= half[0] + 2
            and abs(position[j, 1] - position[k, 1]) <= half[1] + 2
            and abs(position[j, 2] - position[k, 2]) <= half[2] + 2
        ):
            return False
    return True


@njit(cache=True, nogil=True, fastmath=_CONTRACT)
def project(real, imag, low, size, g, gd):  # type: ignore[no-untyped-def]
    """Inner products of the residual with g and with g d along z, y, x."""
    ny, nx = real.shape[1], real.shape[2]
    real, imag = real.reshape(real.size), imag.reshape(imag.size)
    s0, sz, sy, sx = 0j, 0j, 0j, 0j
    gx, gdx = g[2], gd[2]
    zero = np.float32(0.0)
    for i in range(size[0]):
        at = ((low[0] + i) * ny + low[1]) * nx + low[2]
        pr, pi, yr, yi, xr, xi = zero, zero, zero, zero, zero, zero
        for j in range(size[1]):
            ar, ai, br, bi = zero, zero, zero, zero
            row, row_imag = real[at : at + size[2]], imag[at : at + size[2]]
            for k in range(row.size):
                ar += row[k] * gx[k]
                ai += row_imag[k] * gx[k]
                br += row[k] * gdx[k]
                bi += row_imag[k] * gdx[k]
            at += nx
            pr += ar * g[1, j]
            pi += ai * g[1, j]
            yr += ar * gd[1, j]
            yi += ai * gd[1, j]
            xr += br * g[1, j]
            xi += bi * g[1, j]
        s0 += complex(pr, pi) * g[0, i]
        sz += complex(pr, pi) * gd[0, i]
        sy += complex(yr, yi) * g[0, i]
        sx += complex(xr, xi) * g[0, i]
    return s0, sz, sy, sx
