"""From tracks to the voxels that they cross: compiled loops.

A track is the polyline through its rows. Every segment is traversed voxel by voxel
(Amanatides & Woo, "A fast voxel traversal algorithm for ray tracing", Eurographics
1987), so there is no sampling step to choose and a line has no gaps: consecutive voxels
share a face. Speed and axial velocity vary linearly along a segment; a voxel receives
their mean over the parts of the track inside it, which for linear
variation is exactly the value at each part's midpoint, weighted by its length.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = [
    "FIXED_POINT",
    "SQUARED_POINT",
    "Paths",
    "VoxelTable",
    "deposit",
    "rehash",
    "voxel_bounds",
]

# Velocities are summed as integer multiples of 1 nm/s: integer sums do not depend on the
# order of tracks, so resumed runs and other chunk sizes give bit-identical maps.
FIXED_POINT = 1e6
# Squares reach that of 10,000 mm/s and are summed too, so they are integer multiples of
# 1e-6 (mm/s)^2.
SQUARED_POINT = 1e6

_HASH = np.uint64(0x9E3779B97F4A7C15)
# Smallest weight (um), for points or touched corners; matters only if no part has a length.
_POINT_WEIGHT = 1e-6


class Paths(NamedTuple):
    """Tracks as polylines, one row per point.

    Attributes
    ----------
    points
        (n, 3) in voxels of the map, voxel i covering [i, i + 1).
    speed, axial, time_s
        (n,) values at each point.
    starts
        (tracks + 1,) first row of each track.
    bounds
        (tracks,) from `voxel_bounds`.
    spacing_um
        (3,) of the map's voxels.
    weights
        (tracks, resamples) weight of each track in every resample.
    """

    points: NDArray[np.float64]
    speed: NDArray[np.float64]
    axial: NDArray[np.float64]
    time_s: NDArray[np.float64]
    starts: NDArray[np.int64]
    bounds: NDArray[np.int64]
    spacing_um: NDArray[np.float64]
    weights: NDArray[np.int32]


class VoxelTable(NamedTuple):
    """Columns by row, and the hash table that maps voxels to rows.

    Attributes
    ----------
    slots
        Row + 1 in each slot; 0 is free.
    voxel
        Flat index of each row's voxel.
    n_tracks, even, direction, speed_sum, axial_sum, reached_s, square_sum
        The sums. `even` is empty if halves are not kept, and `square_sum` (of squared speeds) if
        it is not needed.
    drawn, drawn_speed
        (rows, resamples) `n_tracks` and `speed_sum` of each resample; may be empty.
    mark
        All zero between calls.
    """

    slots: NDArray[np.int32]
    voxel: NDArray[np.int64]
    n_tracks: NDArray[np.int32]
    even: NDArray[np.int32]
    direction: NDArray[np.int32]
    speed_sum: NDArray[np.int64]
    axial_sum: NDArray[np.int64]
    reached_s: NDArray[np.float32]
    mark: NDArray[np.int32]
    square_sum: NDArray[np.int64]
    drawn: NDArray[np.int32]
    drawn_speed: NDArray[np.int64]


class _Visits(NamedTuple):
    """Rows visited by one track, with its sums in each."""

    row: NDArray[np.int64]
    weight: NDArray[np.float64]
    speed: NDArray[np.float64]
    axial: NDArray[np.float64]


class _Walker(NamedTuple):
    """Current voxel of a walk, its direction, remaining steps and 1 / length along each axis."""

    voxel: NDArray[np.int64]
    step: NDArray[np.int64]
    left: NDArray[np.int64]
    inverse: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _slot_of(slots: Any, index: Any, voxel: int) -> Any:
    """Position of `voxel` in the open-addressing table, or the free slot for it."""
    mask = slots.size - 1
    mixed = np.uint64(voxel) * _HASH
    slot = np.int64((mixed >> np.uint64(32)) & np.uint64(mask))
    while slots[slot] != 0 and index[slots[slot] - 1] != voxel:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, nogil=True)
def rehash(index: NDArray[np.int64], rows: int, size: int) -> NDArray[np.int32]:
    """Build a table with `size` (a power of two) slots for the first `rows` voxel indices.

    A slot contains row + 1; 0 is free.
    """
    slots = np.zeros(size, np.int32)
    for row in range(rows):
        slots[_slot_of(slots, index, index[row])] = row + 1
    return slots


@njit(cache=True, nogil=True)
def voxel_bounds(
    points: NDArray[np.float64], starts: NDArray[np.int64], shape: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Upper limit of the voxels that each track can touch; points (n, 3) in voxels."""
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
    """The part (t_in, t_out) of segment k inside the grid; empty if t_in >= t_out.

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
def _enter_point(paths: Paths, k: int, shape: Any, walker: _Walker) -> bool:
    """Move the walker to the voxel of a row's own point; return whether that is in the grid."""
    for axis in range(3):
        p = paths.points[k, axis]
        if p < 0.0 or p >= shape[axis]:
            return False
        walker.voxel[axis] = np.int64(p)
        walker.left[axis] = 0
    return True


@njit(cache=True, nogil=True)
def _enter_segment(paths: Paths, k: int, shape: Any, walker: _Walker) -> tuple[float, float, float]:
    """Move the walker to where segment k enters the grid; return t_in, t_out and its length, um.

    Empty if t_in >= t_out.
    """
    points, length = paths.points, 0.0
    t_in, t_out = _clip(points, k, shape)
    if t_in >= t_out:
        return t_in, t_out, length
    for axis in range(3):
        p = points[k, axis]
        d = points[k + 1, axis] - p
        stop = p + t_out * d if t_out < 1.0 else points[k + 1, axis]
        end = int(np.floor(stop))
        begin = int(np.floor(p + t_in * d))
        walker.voxel[axis] = min(max(begin, 0), shape[axis] - 1)
        end = min(max(end, 0), shape[axis] - 1)
        walker.step[axis] = 1 if d > 0 else -1
        walker.left[axis] = max((end - walker.voxel[axis]) * walker.step[axis], 0)
        walker.inverse[axis] = 1.0 / d if d != 0.0 else 0.0
        length += (d * paths.spacing_um[axis]) ** 2
    return t_in, t_out, np.sqrt(length)


@njit(cache=True, nogil=True)
def _row_of(table: VoxelTable, flat: int, rows: int) -> tuple[int, int]:
    """Row of a voxel, added if there is none, and the new number of rows."""
    slot = _slot_of(table.slots, table.voxel, flat)
    if table.slots[slot] == 0:
        table.voxel[rows] = flat
        table.reached_s[rows] = np.inf
        rows += 1
        table.slots[slot] = rows
    return table.slots[slot] - 1, rows


@njit(cache=True, nogil=True)
def _walk(
    paths: Paths, k: int, ends: tuple[float, float, float], following: int, shape: Any,
    walker: _Walker, table: VoxelTable, visits: _Visits, n_visited: int, rows: int,
) -> tuple[int, int]:  # fmt: skip
    """Traverse a segment from the walker's voxel; return (voxels visited, rows)."""
    voxel, step, left = walker.voxel, walker.step, walker.left
    t, t_out, length = ends
    while True:
        # Face through which the segment leaves the voxel, and where.
        nearest, out = -1, t_out
        for axis in range(3):
            if left[axis] > 0:
                face = voxel[axis] + (1 if step[axis] > 0 else 0)
                crossing = (face - paths.points[k, axis]) * walker.inverse[axis]
                if nearest < 0 or crossing < out:
                    nearest, out = axis, crossing
        out = min(max(out, t), t_out)

        flat = (voxel[0] * shape[1] + voxel[1]) * shape[2] + voxel[2]
        row, rows = _row_of(table, flat, rows)
        if table.mark[row] == 0:
            visits.row[n_visited] = row
            visits.weight[n_visited] = 0.0
            visits.speed[n_visited] = visits.axial[n_visited] = 0.0
            n_visited += 1
            table.mark[row] = n_visited
        visit = table.mark[row] - 1
        middle = 0.5 * (t + out)
        w = max(length * (out - t), _POINT_WEIGHT)
        speed, axial, time_s = paths.speed, paths.axial, paths.time_s
        visits.weight[visit] += w
        visits.speed[visit] += w * (speed[k] + middle * (speed[following] - speed[k]))
        visits.axial[visit] += w * (axial[k] + middle * (axial[following] - axial[k]))
        arrival = np.float32(time_s[k] + t * (time_s[following] - time_s[k]))
        table.reached_s[row] = min(table.reached_s[row], arrival)

        if nearest < 0:
            return n_visited, rows
        voxel[nearest] += step[nearest]
        left[nearest] -= 1
        t = out


@njit(cache=True, nogil=True)
def _add_visits(
    table: VoxelTable, visits: _Visits, n_visited: int, even: bool, weights: NDArray[np.int32]
) -> None:
    """Add a whole track's means to the rows that it visited."""
    squares, resamples = table.square_sum.size > 0, weights.size
    for visit in range(n_visited):
        row, weight = visits.row[visit], visits.weight[visit]
        table.mark[row] = 0
        mean_axial = np.int64(np.rint(visits.axial[visit] / weight * FIXED_POINT))
        table.n_tracks[row] += 1
        if even:
            table.even[row] += 1
        mean = visits.speed[visit] / weight
        mean_speed = np.int64(np.rint(mean * FIXED_POINT))
        table.speed_sum[row] += mean_speed
        if squares:
            table.square_sum[row] += np.int64(np.rint(mean * mean * SQUARED_POINT))
        for b in range(resamples):
            table.drawn[row, b] += weights[b]
            table.drawn_speed[row, b] += weights[b] * mean_speed
        table.axial_sum[row] += mean_axial
        table.direction[row] += np.sign(mean_axial)


@njit(cache=True, nogil=True)
def deposit(
    paths: Paths, shape: NDArray[np.int64], track: int, rank: int, table: VoxelTable, rows: int
) -> tuple[int, int]:
    """Add tracks to the table of voxels until it is full; return (next track, rows).

    Parameters
    ----------
    shape
        (3,) shape of the map.
    track, rank
        First track to add, and its rank among all tracks (its parity selects the half).
    rows
        Number of rows of the table in use.
    """
    capacity = min(table.voxel.size, table.slots.size // 2)
    widest = 0
    for k in range(track, paths.bounds.size):
        widest = max(widest, paths.bounds[k])
    visits = _Visits(
        np.empty(widest, np.int64), np.empty(widest), np.empty(widest), np.empty(widest)
    )
    walker = _Walker(
        np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    )
    starts = paths.starts
    while track < starts.size - 1 and rows + paths.bounds[track] <= capacity:
        n_visited = 0
        last = starts[track + 1] - 1
        for k in range(starts[track], last + 1):
            following = min(k + 1, last)
            # First the row's own point, then the segment to the next row.
            if _enter_point(paths, k, shape, walker):
                n_visited, rows = _walk(
                    paths, k, (0.0, 0.0, 0.0), following, shape, walker, table, visits,
                    n_visited, rows,
                )  # fmt: skip
            if k < last:
                t_in, t_out, length = _enter_segment(paths, k, shape, walker)
                if t_in < t_out:
                    n_visited, rows = _walk(
                        paths, k, (t_in, t_out, length), following, shape, walker, table, visits,
                        n_visited, rows,
                    )  # fmt: skip
        even = table.even.size > 0 and rank % 2 == 0
        _add_visits(table, visits, n_visited, even, paths.weights[track])
        track += 1
        rank += 1
    return track, rows
