"""Inner products of the joint fit: one bubble's image with the residual.

A frame is modelled as the sum over bubbles of a_k h_z(z - z_k) h_y(y - y_k) h_x(x - x_k) with
complex amplitudes a_k and tabulated complex profiles h (see `image`). The *residual*, the
frames minus all models, is kept in memory, and passed as floats, (t, z, y, 2 x). Profiles separate
along the axes, so a bubble costs two passes over its window: one for its step, one to replace its image.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from napari_ulm3d._caches import njit
from napari_ulm3d.synthesis.windows import add, along, overlap, power, project, swap, window

__all__ = ["evidence", "profile_samples", "restart", "sweep"]

_LARGEST_STEP = 0.5  # voxels in one Gauss-Newton step
_FARTHEST = 1.0  # voxels from a bubble to where its frame alone would have it
_STILL = 0.01  # voxels: a bubble that moved less, and whose neighbours did, has converged


@njit(cache=True, nogil=True)
def _shape(left):  # type: ignore[no-untyped-def]
    """Shape of a frame, voxels; the frames are floats, (t, z, y, 2 x)."""
    return np.array((left.shape[1], left.shape[2], left.shape[3] // 2))


@njit(cache=True, nogil=True)
def _space(half):  # type: ignore[no-untyped-def]
    """Space for the results of `window`, and for `project`."""
    low, size = np.zeros(3, np.int64), np.zeros(3, np.int64)
    width = 2 * half.max() + 1
    g, gd = np.zeros((3, width), np.complex64), np.zeros((3, width), np.complex64)
    return low, size, g, gd, np.zeros((3, 3), np.complex128), np.zeros((4, 2 * width), np.float32)


@njit(cache=True, nogil=True)
def _bends(k, before, after):  # type: ignore[no-untyped-def]
    """Precision of a position by the second differences of its track, in units of that of one.

    A bubble is part of up to three second differences, with the others' positions fixed.
    """
    p, n = before[k], after[k]
    weight = 0.0
    if p >= 0 and n >= 0:
        weight += 4.0
    if p >= 0 and before[p] >= 0:
        weight += 1.0
    if n >= 0 and after[n] >= 0:
        weight += 1.0
    return weight


@njit(cache=True, nogil=True)
def _rests(k, low, high, place, moved, half):  # type: ignore[no-untyped-def]
    """Whether a bubble and all bubbles that overlap its core are still."""
    if moved[k] > _STILL:
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
    left, first, place, anchor, amplitude, said, trust, mean, hold, noise, moved, half, limit,
    table, slope, times, floor, seen, known,
):  # fmt: skip
    """Perform Gauss-Newton steps of every bubble, `times` each.

    The steps of a frame follow each other while the frame is in the processor's cache. Before
    them, the power around each bubble is measured, at least `floor`; not if that is 0.

    Bubbles are updated one after the other on the residual of the others (block
    coordinate descent; Fessler & Hero 1994). The amplitude is eliminated from the step and
    fitted again afterwards. The position is constrained by the rest of its track, which expects `mean`
    with precision `hold` (`smoothing`), and by the position `said`, with precision `trust`. What
    the frame itself says (the position and its precision) is written to `seen` and `known`. A bubble
    with amplitude 0 is new and gets its fitted amplitude.
    """
    for t in prange(left.shape[0]):
        shape = _shape(left)
        low, size, g, gd, sums, rows = _space(half)
        to_low, to_size, to_g, to_gd, to_sums, _ = _space(half)
        if floor > 0:
            for k in range(first[t], first[t + 1]):
                noise[k] = max(power(left[t], place[k], half), floor)
        normal, right, step = np.zeros(3), np.zeros(3), np.zeros(3)
        for _ in range(times):
            for k in range(first[t], first[t + 1]):
                if _rests(k, first[t], first[t + 1], place, moved, half):
                    continue
                window(shape, place[k], half, table, slope, low, size, g, gd, sums)
                own = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real
                s, sz, sy, sx = project(left[t], low, size, g, gd, rows)
                a = amplitude[k]
                if a == 0:
                    amplitude[k] = s / own
                    add(left[t], -amplitude[k], low, size, g, rows)
                    moved[k] = 1.0
                    continue
                for i, si in enumerate((sz, sy, sx)):
                    # The amplitude is eliminated, after which the axes of a separable image do not
                    # mix. The image moves against its argument: its derivative by position is -gd.
                    slant = sums[i, 1] / sums[i, 0].real
                    bend = sums[i, 2].real / sums[i, 0].real - abs(slant) ** 2
                    scale = 2.0 / noise[k]
                    normal[i] = scale * abs(a) ** 2 * own * bend
                    right[i] = scale * (np.conj(a) * (np.conj(slant) * s - si)).real
                    normal[i] += trust[k, i]
                    right[i] += trust[k, i] * (said[k, i] - place[k, i])
                    known[k, i] = max(normal[i], 0.0)
                    if normal[i] > 0.0:
                        go = min(max(right[i] / normal[i], -_FARTHEST), _FARTHEST)
                        seen[k, i] = place[k, i] + go
                    normal[i] += hold[k, i]
                    right[i] += hold[k, i] * (mean[k, i] - place[k, i])
                far = 0.0
                for i in range(3):
                    step[i] = 0.0
                    if shape[i] == 1 or not normal[i] > 0.0:
                        continue
                    go = min(max(right[i] / normal[i], -_LARGEST_STEP), _LARGEST_STEP)
                    to = min(max(place[k, i] + go, anchor[k, i] - limit), anchor[k, i] + limit)
                    to = min(max(to, -0.5), shape[i] - 0.5)
                    step[i] = to - place[k, i]
                    far = max(far, abs(step[i]))
                    place[k, i] = to
                window(shape, place[k], half, table, slope, to_low, to_size, to_g, to_gd, to_sums)
                # The new amplitude by the inner product of the new image with the old one, which is
                # exact, and with the residual, which is small, to first order in the step.
                shared = overlap(low, size, g, to_low, to_size, to_g)
                rest = s - step[0] * sz - step[1] * sy - step[2] * sx
                own = (to_sums[0, 0] * to_sums[1, 0] * to_sums[2, 0]).real
                amplitude[k] = (a * shared + rest) / own
                swap(left[t], a, low, size, g, amplitude[k], to_low, to_size, to_g, rows)
                moved[k] = far


@njit(cache=True, nogil=True, parallel=True)
def restart(left, frames, first, place, amplitude, half, table, slope):  # type: ignore[no-untyped-def]
    """Write the frames without the images of all bubbles to `left`."""
    for t in prange(left.shape[0]):
        shape = _shape(left)
        low, size, g, gd, sums, rows = _space(half)
        left[t] = frames[t]
        for k in range(first[t], first[t + 1]):
            if amplitude[k] != 0:
                window(shape, place[k], half, table, slope, low, size, g, gd, sums)
                add(left[t], -amplitude[k], low, size, g, rows)


@njit(cache=True, nogil=True, parallel=True)
def evidence(  # type: ignore[no-untyped-def]
    left, first, place, amplitude, before, after, trust, noise, jerk, half, table, slope, floor,
    energy, deviation,
):  # fmt: skip
    """Energy of each image relative to the noise power, and standard deviation of its position.

    The power of the residual, at least `floor`, is written to `noise` (n,). The results are written to `energy` (n,) and `deviation` (n, 3) voxels: the Cramer-Rao bound for fixed other
    bubbles, combined with the track's constraint on the position; 0 along an axis with one voxel.
    """
    for t in prange(left.shape[0]):
        shape = _shape(left)
        low, size, g, gd, sums, _ = _space(half)
        for k in range(first[t], first[t + 1]):
            window(shape, place[k], half, table, slope, low, size, g, gd, sums)
            own = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real
            noise[k] = max(power(left[t], place[k], half), floor)
            energy[k] = abs(amplitude[k]) ** 2 * own / noise[k]
            weight = _bends(k, before, after)
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
    shape = _shape(left)
    low, size, g, gd, sums, rows = _space(half)
    total = np.zeros(g.shape[1], np.complex128)
    n = 0
    for t in range(left.shape[0]):
        for k in range(first[t], first[t + 1]):
            if not chosen[k]:
                continue
            window(shape, place[k], half, table, slope, low, size, g, gd, sums)
            along(left[t], low, size, g, axis, total, rows)
            rest = (sums[0, 0] * sums[1, 0] * sums[2, 0]).real / sums[axis, 0].real
            for i in range(size[axis]):
                distance[n] = low[axis] + i - place[k, axis]
                value[n] = total[i] / (amplitude[k] * rest)
                weight[n] = abs(amplitude[k]) ** 2 * rest
                n += 1
    return n
