"""Gated optimal assignment of the points of one frame to those of another.

Points may be linked if they are no farther apart than the gate. As many links as possible are
made, and among all sets with that many links, the one with the least sum of squared distances
is chosen, as in the `hungarianlinker` of simpletracker (J.-Y. Tinevez). The problem is solved
exactly with shortest augmenting paths and dual variables (Jonker & Volgenant, Computing 38, 325
(1987)) on the sparse graph of gated pairs, in which each source can also remain unlinked at a
cost higher than all links together. A path cannot leave a connected component of that graph, so
components are solved one by one without having to be identified.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["assign", "cheapest", "gated_pairs"]

Points = NDArray[np.float64]


@njit(cache=True, nogil=True)
def assign(
    source: Points,
    source_shift: Points,
    target: Points,
    target_shift: Points,
    gate: float,
) -> NDArray[np.int64]:
    """Link as many sources to targets as possible, at the least total cost.

    Parameters
    ----------
    source, target
        (n, 3) and (m, 3) positions, any unit of length.
    source_shift, target_shift
        Same shapes: expected displacement of each point until, and since, the middle of the
        interval (zeros if unknown). The cost of a link is the squared distance between
        ``source + source_shift`` and ``target - target_shift``.
    gate
        Maximum length of a link, above 0, for both the displacement and the distance that
        remains after the shifts.

    Returns
    -------
    (n,) index of each source's target, -1 for none. The order of the points decides between equal
    sums, so the result is reproducible.
    """
    n_source = source.shape[0]
    first, column, cost = gated_pairs(source, source_shift, target, target_shift, gate)
    # One more link outweighs anything that the other links can gain or lose.
    unlinked_cost = (n_source + 1.0) * gate * gate
    return cheapest(n_source, target.shape[0], first, column, cost, unlinked_cost)


@njit(cache=True, nogil=True)
def gated_pairs(
    source: Points, source_shift: Points, target: Points, target_shift: Points, gate: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Points]:
    """Pairs within the gate as compressed rows: first (n + 1,), column and cost (pairs,)."""
    n_source, n_target = source.shape[0], target.shape[0]
    first = np.zeros(n_source + 1, np.int64)
    column = np.empty(2 * n_source + 8, np.int64)
    cost = np.empty(2 * n_source + 8)
    if n_source == 0 or n_target == 0:
        return first, column[:0], cost[:0]
    # Sweep along the axis along which the targets are spread most widely.
    axis, widest = 0, -1.0
    for k in range(3):
        spread = target[:, k].max() - target[:, k].min()
        if spread > widest:
            axis, widest = k, spread
    order = np.argsort(target[:, axis], kind="mergesort")
    along = target[order, axis]
    longest = gate * gate
    n_pairs = 0
    for i in range(n_source):
        # Slightly wider than the gate: rounding must not decide before the exact test.
        reach = gate + 1e-9 * (gate + abs(source[i, axis]))
        start = np.searchsorted(along, source[i, axis] - reach)
        for position in range(start, n_target):
            if along[position] > source[i, axis] + reach:
                break
            j = order[position]
            moved, left = 0.0, 0.0
            for k in range(3):
                step = target[j, k] - source[i, k]
                rest = step - target_shift[j, k] - source_shift[i, k]
                moved += step * step
                left += rest * rest
            if moved > longest or left > longest:
                continue
            if n_pairs == column.size:
                column = np.concatenate((column, np.empty_like(column)))
                cost = np.concatenate((cost, np.empty_like(cost)))
            column[n_pairs] = j
            cost[n_pairs] = left
            n_pairs += 1
        first[i + 1] = n_pairs
    return first, column[:n_pairs], cost[:n_pairs]


@njit(cache=True, nogil=True)
def cheapest(
    n_source: int,
    n_target: int,
    first: NDArray[np.int64],
    column: NDArray[np.int64],
    cost: Points,
    unlinked_cost: float,
) -> NDArray[np.int64]:
    """Solve by shortest augmenting paths over the gated pairs, one source after the other."""
    target_of = np.full(n_source, -1, np.int64)
    source_of = np.full(n_target, -1, np.int64)
    dual_source = np.zeros(n_source)
    dual_target = np.zeros(n_target)
    distance = np.full(n_target, np.inf)
    came_from = np.empty(n_target, np.int64)
    scanned = np.zeros(n_target, np.bool_)
    reached = np.empty(n_target, np.int64)
    for root in range(n_source):
        n_reached = 0
        row, row_distance = root, 0.0
        way_out, way_out_distance = root, np.inf
        while True:
            leave = row_distance + unlinked_cost - dual_source[row]
            if leave < way_out_distance:
                way_out, way_out_distance = row, leave
            for pair in range(first[row], first[row + 1]):
                j = column[pair]
                if scanned[j]:
                    continue
                via = row_distance + cost[pair] - dual_source[row] - dual_target[j]
                if via < distance[j]:
                    if distance[j] == np.inf:
                        reached[n_reached] = j
                        n_reached += 1
                    distance[j] = via
                    came_from[j] = row
            nearest, nearest_distance = -1, np.inf
            for k in range(n_reached):
                j = reached[k]
                if not scanned[j] and distance[j] < nearest_distance:
                    nearest, nearest_distance = j, distance[j]
            if nearest < 0 or way_out_distance < nearest_distance:
                total, end, row = way_out_distance, -1, way_out
                break
            if source_of[nearest] < 0:
                total, end, row = nearest_distance, nearest, came_from[nearest]
                break
            scanned[nearest] = True
            row, row_distance = source_of[nearest], nearest_distance
        # Keep reduced costs non-negative, and zero along the path.
        dual_source[root] += total
        for k in range(n_reached):
            j = reached[k]
            if scanned[j]:
                dual_target[j] -= total - distance[j]
                dual_source[source_of[j]] += total - distance[j]
        # Flip the path: each source on it takes the target to which it was moving.
        while True:
            given_up = target_of[row]
            target_of[row] = end
            if end >= 0:
                source_of[end] = row
            if row == root:
                break
            end = given_up
            row = came_from[end]
        for k in range(n_reached):
            distance[reached[k]] = np.inf
            scanned[reached[k]] = False
    return target_of
