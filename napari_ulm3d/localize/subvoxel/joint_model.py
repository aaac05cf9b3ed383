"""Steps of `gaussian` between sweeps: shared width, pruning, precision of a fit."""

from __future__ import annotations

import numpy as np

from napari_ulm3d._caches import njit
from napari_ulm3d.localize.subvoxel.joint import (
    ALIVE,
    FAINT,
    MERGED,
    normal_matrix,
    project,
    solve,
    subtract,
    weights,
)

__all__ = ["describe", "prune", "refine", "restart"]

_RAYLEIGH = 0.5 * np.sqrt(np.pi)  # ratio of mean to rms of a noise envelope


@njit(cache=True, nogil=True)
def refine(  # type: ignore[no-untyped-def]
    real, imag, position, amplitude, state, count, half, known, sigma, carrier
):
    """A Gauss-Newton step of the shared width (unless `known`) and carrier.

    The derivative with respect to the width is orthogonalized to the Gaussian, so that fixing
    the amplitudes does not hinder it; the derivative for the carrier is orthogonal already.
    Returns whether the step was small. The residual is then out of date: subtract the models
    from the frame again (`restart`).
    """
    shape = np.array(real.shape)
    span = 2 * max(half[0], half[1], half[2]) + 1
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    g, gd = np.zeros((3, span), np.float32), np.zeros((3, span), np.float32)
    other, sums = np.zeros((3, span), np.float32), np.zeros((3, 3))
    wider, width_weight = np.zeros(3), np.zeros(3)
    turned, turn_weight = np.zeros(3), np.zeros(3)
    for k in range(count):
        if state[k] != ALIVE:
            continue
        weights(shape, position[k], sigma, half, low, size, g, gd, sums)
        power = abs(amplitude[k]) ** 2
        for axis in range(3):
            share = sums[axis, 2] / sums[axis, 0]
            square = 0.0
            for i in range(size[axis]):
                d = low[axis] + i - position[k, axis]
                other[axis, i] = g[axis, i] * (d * d - share)
                square += float(other[axis, i]) ** 2
            rest = power * sums[0, 0] * sums[1, 0] * sums[2, 0] / sums[axis, 0]
            width_weight[axis] += square * rest
            turn_weight[axis] += sums[axis, 2] * rest
        back = np.conj(amplitude[k])
        for axis, inner in enumerate(project(real, imag, low, size, g, other)[1:]):
            wider[axis] += (inner * back).real
        for axis, inner in enumerate(project(real, imag, low, size, g, gd)[1:]):
            turned[axis] += (inner * back).imag
    small = True
    for axis in range(3):
        if shape[axis] < 3 or not width_weight[axis] > 0.0:
            continue
        if not known:
            limit = 0.25 * sigma[axis]
            change = wider[axis] / width_weight[axis] * sigma[axis] ** 3
            sigma[axis] += min(max(change, -limit), limit)
            small &= abs(change) < 0.03 * sigma[axis]
        change = min(max(turned[axis] / turn_weight[axis], -0.3), 0.3)
        carrier[axis] += change
        small &= abs(change) * sigma[axis] < 0.03
        for k in range(count):
            amplitude[k] *= np.exp(-1j * change * position[k, axis])
    return small


@njit(cache=True, nogil=True)
def restart(real, imag, position, amplitude, state, step, count, sigma, half):  # type: ignore[no-untyped-def]
    """Subtract all models from the demodulated frame, and let every bubble move again."""
    shape = np.array(real.shape)
    span = 2 * max(half[0], half[1], half[2]) + 1
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    g, gd = np.zeros((3, span), np.float32), np.zeros((3, span), np.float32)
    sums = np.zeros((3, 3))
    for k in range(count):
        if state[k] == ALIVE:
            weights(shape, position[k], sigma, half, low, size, g, gd, sums)
            subtract(real, imag, amplitude[k], low, size, g)
            step[k] = 1.0


@njit(cache=True, nogil=True)
def _power(real, imag, position, half):  # type: ignore[no-untyped-def]
    """Mean |residual|^2 in the patch around a position."""
    nz, ny, nx = real.shape
    z, y, x = int(np.rint(position[0])), int(np.rint(position[1])), int(np.rint(position[2]))
    total = 0.0
    many = 0
    x0, x1 = max(x - half[2], 0), min(x + half[2] + 1, nx)
    for i in range(max(z - half[0], 0), min(z + half[0] + 1, nz)):
        for j in range(max(y - half[1], 0), min(y + half[1] + 1, ny)):
            line = np.float32(0.0)
            for k in range(x0, x1):
                line += real[i, j, k] * real[i, j, k] + imag[i, j, k] * imag[i, j, k]
            total += line
            many += x1 - x0
    return total / max(many, 1)


@njit(cache=True, nogil=True)
def prune(  # type: ignore[no-untyped-def]
    real, imag, position, amplitude, state, step, count, sigma, half, ratio, gain
):
    """Drop bubbles that are faint relative to the residual, and the weaker of two that coincide.

    Dropped bubbles are added back to the residual. Returns their number.
    """
    shape = np.array(real.shape)
    width = 2 * max(half[0], half[1], half[2]) + 1
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    g, gd = np.zeros((3, width), np.float32), np.zeros((3, width), np.float32)
    sums = np.zeros((3, 3))
    dropped = 0
    for k in range(count):
        if state[k] != ALIVE:
            continue
        fate = ALIVE
        power = _power(real, imag, position[k], half)
        weights(shape, position[k], sigma, half, low, size, g, gd, sums)
        energy = abs(amplitude[k]) ** 2 * sums[0, 0] * sums[1, 0] * sums[2, 0]
        if not (abs(amplitude[k]) >= ratio * _RAYLEIGH * np.sqrt(power) and energy >= gain * power):
            fate = FAINT
        for j in range(count):
            if fate != ALIVE:
                break
            if j != k and state[j] == ALIVE and abs(amplitude[j]) >= abs(amplitude[k]):
                apart = 0.0
                for axis in range(3):
                    d = (position[j, axis] - position[k, axis]) / sigma[axis]
                    apart += d * d
                if apart < 0.25:
                    fate = MERGED
                    step[j] = 1.0
        if fate != ALIVE:
            subtract(real, imag, -amplitude[k], low, size, g)
            state[k] = fate
            step[k] = 1.0
            dropped += 1
    return dropped


@njit(cache=True, nogil=True)
def describe(real, imag, position, amplitude, sigma, half, deviation):  # type: ignore[no-untyped-def]
    """Contrast and goodness of a fitted bubble; writes its Cramer-Rao bound to `deviation` (3,).

    The noise is the residual in the patch. The goodness is the normalized correlation in the
    patch of the model with the frame minus all other bubbles.
    """
    shape = np.array(real.shape)
    width = 2 * max(half[0], half[1], half[2]) + 1
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    g, gd = np.zeros((3, width), np.float32), np.zeros((3, width), np.float32)
    sums, normal, right = np.zeros((3, 3)), np.zeros((4, 4)), np.zeros(4)
    free = np.array([n > 1 for n in real.shape])
    power = _power(real, imag, position, half)
    strength = abs(amplitude)
    weights(shape, position, sigma, half, low, size, g, gd, sums)
    for axis in range(3):
        right[:] = 0.0
        right[axis + 1] = 1.0
        normal_matrix(sums, sigma, strength, free, normal)
        solved = solve(normal, right)
        deviation[axis] = np.sqrt(0.5 * power * right[axis + 1]) if solved and free[axis] else 0.0
    own = strength * strength * sums[0, 0] * sums[1, 0] * sums[2, 0]
    rest = power * size[0] * size[1] * size[2]
    return strength / max(_RAYLEIGH * np.sqrt(power), 1e-30), np.sqrt(own / (own + rest))
