"""From tracks to the voxels they pass through: compiled loops.

A track is the polyline through its rows. Every segment is walked voxel by voxel
(Amanatides & Woo, "A fast voxel traversal algorithm for ray tracing", Eurographics
1987), so that no sampling step has to be chosen and a line has no gaps: two voxels that
follow each other share a face. Speed and axial velocity vary linearly along a segment;
a voxel receives their mean over the stretches of the track inside it, which for linear
variation is exactly the value at each stretch's middle, weighted by its length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["FIXED_POINT", "deposit", "rehash", "voxel_bounds"]

# Velocities are summed as whole multiples of 1 nm/s: integer sums do not depend on the
# order of tracks, so a resumed or re-chunked run gives bit-identical maps.
FIXED_POINT = 1e6

_HASH = np.uint64(0x9E3779B97F4A7C15)
# Least weight (um) of a point or touched corner: decides only where no stretch has a length.
_POINT_WEIGHT = 1e-6


@njit(cache=True, nogil=True)
def _slot_of(slots: Any, index: Any, voxel: int) -> Any:
    """Position in the open-addressing table that holds `voxel`, or the free one for it."""
    mask = slots.size - 1
    mixed = np.uint64(voxel) * _HASH
    slot = np.int64((mixed >> np.uint64(32)) & np.uint64(mask))
    while slots[slot] != 0 and index[slots[slot] - 1] != voxel:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def rehash(index: NDArray[np.int64], rows: int, size: int) -> NDArray[np.int32]:
    """A table of `size` (a power of two) slots over the first `rows` voxel indices.

    A slot holds row + 1; 0 is free.
    """
    slots = np.zeros(size, np.int32)
    for row in range(rows):
        slots[_slot_of(slots, index, index[row])] = row + 1
    return slots


@njit(cache=True, nogil=True)
def voxel_bounds(
    points: NDArray[np.float64], starts: NDArray[np.int64], shape: NDArray[np.int64]
) -> NDArray[np.int64]:
    """At most how many voxels each track can touch; points (n, 3) in voxels."""
    bounds = np.zeros(starts.size - 1, np.int64)
    for track in range(starts.size - 1):
        total = 1
        for k in range(starts[track], starts[track + 1] - 1):
            for axis in range(3):
                step = abs(points[k + 1, axis] - points[k, axis])
                total += int(min(step, np.float64(shape[axis]))) + 1
            total += 1
        bounds[track] = total
    return bounds


@njit(cache=True, nogil=True)
def _clip(points: Any, k: int, shape: Any) -> tuple[float, float]:
    """The part (t_in, t_out) of segment k inside the grid; empty when t_in >= t_out.

    Liang & Barsky, ACM Trans. Graph. 3:1 (1984).
    """
    t_in, t_out = 0.0, 1.0
    for axis in range(3):
        p = points[k, axis]
        d = points[k + 1, axis] - p
        n = np.float64(shape[axis])
        if d == 0.0:
            if p < 0.0 or p >= n:
                return 1.0, 0.0
        else:
            a, b = (0.0 - p) / d, (n - p) / d
            t_in = max(t_in, min(a, b))
            t_out = min(t_out, max(a, b))
    return t_in, t_out


@njit(cache=True, nogil=True)
def deposit(
    points: NDArray[np.float64],
    spacing_um: NDArray[np.float64],
    speed: NDArray[np.float64],
    axial: NDArray[np.float64],
    time_s: NDArray[np.float64],
    starts: NDArray[np.int64],
    bounds: NDArray[np.int64],
    shape: NDArray[np.int64],
    track: int,
    rank: int,
    slots: NDArray[np.int32],
    index: NDArray[np.int64],
    count: NDArray[np.int32],
    even: NDArray[np.int32],
    direction: NDArray[np.int32],
    speed_sum: NDArray[np.int64],
    axial_sum: NDArray[np.int64],
    reached_s: NDArray[np.float32],
    mark: NDArray[np.int32],
    rows: int,
) -> tuple[int, int]:
    """Add tracks to the table of voxels until it is full; return (next track, rows).

    Parameters
    ----------
    points
        (n, 3) in voxels of the map, voxel i covering [i, i + 1).
    starts
        (tracks + 1,) first row of each track.
    bounds
        From `voxel_bounds`.
    track, rank
        The track to begin with, and its rank among all tracks (parity picks the half).
    slots, index, count, even, direction, speed_sum, axial_sum, reached_s, mark
        The table: columns by row, of which the first `rows` are in use. `mark` is all
        zero between calls. `even` may be empty: halves are not kept then.
    """
    capacity = min(index.size, slots.size // 2)
    widest = 0
    for k in range(track, bounds.size):
        widest = max(widest, bounds[k])
    visited = np.empty(widest, np.int64)
    weight = np.empty(widest)
    speed_part = np.empty(widest)
    axial_part = np.empty(widest)
    voxel = np.empty(3, np.int64)
    step = np.empty(3, np.int64)
    left = np.empty(3, np.int64)
    inverse = np.empty(3)

    while track < starts.size - 1 and rows + bounds[track] <= capacity:
        n_visited = 0
        last = starts[track + 1] - 1
        for k in range(starts[track], last + 1):
            # First the row's own point, then the segment to the next row.
            for segment in range(2):
                length = 0.0
                t_in, t_out = 0.0, 0.0
                if segment == 0:
                    inside = True
                    for axis in range(3):
                        p = points[k, axis]
                        if p < 0.0 or p >= shape[axis]:
                            inside = False
                            break
                        voxel[axis] = np.int64(p)
                        left[axis] = 0
                    if not inside:
                        continue
                else:
                    if k == last:
                        continue
                    t_in, t_out = _clip(points, k, shape)
                    if t_in >= t_out:
                        continue
                    for axis in range(3):
                        p = points[k, axis]
                        d = points[k + 1, axis] - p
                        stop = p + t_out * d if t_out < 1.0 else points[k + 1, axis]
                        end = int(np.floor(stop))
                        begin = int(np.floor(p + t_in * d))
                        voxel[axis] = min(max(begin, 0), shape[axis] - 1)
                        end = min(max(end, 0), shape[axis] - 1)
                        step[axis] = 1 if d > 0 else -1
                        left[axis] = max((end - voxel[axis]) * step[axis], 0)
                        inverse[axis] = 1.0 / d if d != 0.0 else 0.0
                        length += (d * spacing_um[axis]) ** 2
                    length = np.sqrt(length)

                t = t_in
                while True:
                    # Which face of the voxel the segment leaves through, and where.
                    nearest, out = -1, t_out
                    for axis in range(3):
                        if left[axis] > 0:
                            face = voxel[axis] + (1 if step[axis] > 0 else 0)
                            crossing = (face - points[k, axis]) * inverse[axis]
                            if nearest < 0 or crossing < out:
                                nearest, out = axis, crossing
                    out = min(max(out, t), t_out)

                    flat = (voxel[0] * shape[1] + voxel[1]) * shape[2] + voxel[2]
                    slot = _slot_of(slots, index, flat)
                    if slots[slot] == 0:
                        index[rows] = flat
                        reached_s[rows] = np.inf
                        rows += 1
                        slots[slot] = rows
                    row = slots[slot] - 1
                    if mark[row] == 0:
                        visited[n_visited] = row
                        weight[n_visited] = speed_part[n_visited] = axial_part[n_visited] = 0.0
                        n_visited += 1
                        mark[row] = n_visited
                    visit = mark[row] - 1
                    middle = 0.5 * (t + out)
                    w = max(length * (out - t), _POINT_WEIGHT)
                    nxt = min(k + 1, last)
                    weight[visit] += w
                    speed_part[visit] += w * (speed[k] + middle * (speed[nxt] - speed[k]))
                    axial_part[visit] += w * (axial[k] + middle * (axial[nxt] - axial[k]))
                    arrival = np.float32(time_s[k] + t * (time_s[nxt] - time_s[k]))
                    reached_s[row] = min(reached_s[row], arrival)

                    if nearest < 0:
                        break
                    voxel[nearest] += step[nearest]
                    left[nearest] -= 1
                    t = out

        for visit in range(n_visited):
            row = visited[visit]
            mark[row] = 0
            mean_axial = np.int64(np.rint(axial_part[visit] / weight[visit] * FIXED_POINT))
            count[row] += 1
            if even.size > 0 and rank % 2 == 0:
                even[row] += 1
            speed_sum[row] += np.int64(np.rint(speed_part[visit] / weight[visit] * FIXED_POINT))
            axial_sum[row] += mean_axial
            direction[row] += np.sign(mean_axial)
        track += 1
        rank += 1
    return track, rows
