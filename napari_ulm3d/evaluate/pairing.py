"""Pairing of found positions with true ones, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate.config import Tolerances
from napari_ulm3d.evaluate.truth import Truth

__all__ = ["Matching", "inner", "match", "optimal_pairs", "resolved_axes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def optimal_pairs(
    frame_a: Ints, position_a: Floats, frame_b: Ints, position_b: Floats, max_distance: float
) -> tuple[Ints, Ints, Floats]:
    """Globally optimal one-to-one pairs of points in the same frame, closer than a distance.

    In every frame, the pairs minimize the sum of their distances plus `max_distance` for
    every pair that could have been made but was not. This is the assignment with the truncated
    distance min(d, max_distance), as in the GOSPA metric with p = 1, alpha = 2
    (Rahmathullah et al., FUSION 2017). No pair is made that costs another pair more than it
    gains, and a close pair is not given up for two distant ones.

    Parameters
    ----------
    frame_a, frame_b
        (n,) and (m,) frame numbers.
    position_a, position_b
        (n, d) and (m, d) positions.
    max_distance
        Pairs must be strictly closer than this.

    Returns
    -------
    index_a, index_b
        (k,) rows of the pairs, ascending in `index_a`.
    distance
        (k,) distances of the pairs.
    """
    nothing = np.empty(0, np.int64)
    if not (len(frame_a) and len(frame_b)):
        return nothing, nothing, np.empty(0)
    row, column, distance = _candidates(frame_a, position_a, frame_b, position_b, max_distance)
    if not row.size:
        return nothing, nothing, np.empty(0)

    # Points that are not connected by a chain of candidates do not affect each other, so
    # every connected component is a small, separate assignment.
    size = len(frame_a) + len(frame_b)
    graph = coo_array((np.ones(row.size, np.int8), (row, column + len(frame_a))), (size, size))
    _, label = connected_components(graph, directed=False)
    component = label[row]
    order = np.argsort(component, kind="stable")
    row, column, distance, component = row[order], column[order], distance[order], component[order]
    first = np.flatnonzero(np.diff(component, prepend=-1))
    stop = np.append(first[1:], component.size)

    kept = [first[stop - first == 1]]
    for low, high in zip(first, stop, strict=True):
        if high - low > 1:
            kept.append(
                low + _assign(row[low:high], column[low:high], max_distance - distance[low:high])
            )
    chosen = np.concatenate(kept)
    chosen = chosen[np.argsort(row[chosen], kind="stable")]
    return row[chosen], column[chosen], distance[chosen]


def _candidates(
    frame_a: Ints, position_a: Floats, frame_b: Ints, position_b: Floats, max_distance: float
) -> tuple[Ints, Ints, Floats]:
    """All pairs in the same frame that are strictly closer than `max_distance`."""
    # Frames become a fourth axis, spaced so widely that no pair spans two: one tree for all.
    code = np.unique(np.concatenate([frame_a, frame_b]), return_inverse=True)[1]
    level = code.reshape(-1) * (4.0 * max_distance)
    tree_a = cKDTree(np.column_stack([level[: len(frame_a)], position_a]))
    tree_b = cKDTree(np.column_stack([level[len(frame_a) :], position_b]))
    near = tree_a.sparse_distance_matrix(tree_b, max_distance * (1 + 1e-9), output_type="ndarray")
    order = np.lexsort((near["j"], near["i"]))
    row, column = near["i"][order].astype(np.int64), near["j"][order].astype(np.int64)
    distance = np.linalg.norm(position_a[row] - position_b[column], axis=1)
    close = distance < max_distance
    return row[close], column[close], distance[close]


def _assign(row: Ints, column: Ints, gain: Floats) -> Ints:
    """Select the edges of one component that give the one-to-one choice with the highest gain."""
    rows, r = np.unique(row, return_inverse=True)
    columns, c = np.unique(column, return_inverse=True)
    if rows.size == 1 or columns.size == 1:
        return np.array([np.argmax(gain)])
    table = np.zeros((rows.size, columns.size))
    edge = np.full(table.shape, -1)
    table[r, c] = gain
    edge[r, c] = np.arange(gain.size)
    chosen = edge[linear_sum_assignment(table, maximize=True)]
    return chosen[chosen >= 0]


def resolved_axes(grid: Grid) -> list[int]:
    """Axes along which positions are meaningful: those with more than one voxel.

    A 2-D acquisition has one voxel along y and contains no information on a bubble's y.
    """
    return [axis for axis in range(3) if grid.shape[axis] > 1] or [0, 1, 2]


def inner(position_um: Floats, grid: Grid, margin_um: float) -> Bools:
    """Whether positions (n, 3) lie in the field of view, at least `margin_um` from its border.

    Axes with one voxel are ignored.

    Raises
    ------
    ConfigError
        The margin covers the whole field of view.
    """
    axes = resolved_axes(grid)
    low = np.asarray(grid.origin_um) - np.asarray(grid.spacing_um) / 2
    high = low + grid.extent_um
    if (2 * margin_um >= np.asarray(grid.extent_um)[axes]).any():
        raise ConfigError(
            f"A margin of {margin_um:g} um leaves nothing of a field of view of "
            f"{' x '.join(f'{edge:g}' for edge in grid.extent_um)} um. Set a smaller "
            "margin_um."
        )
    inside = (position_um >= low + margin_um) & (position_um <= high - margin_um)
    return np.asarray(inside[:, axes].all(axis=1))


@dataclass(frozen=True)
class Matching:
    """Found positions paired with the ground truth, and which of both count.

    Attributes
    ----------
    truth_row
        (n,) row of the ground truth paired with each found position, -1 for none.
    distance_um
        (n,) distance of the pair, NaN without a pair.
    counted
        (n,) whether the found position counts: its paired bubble or, if unpaired, the
        position itself, lies in the inner field of view.
    truth_counted
        (m,) whether the true position counts: it lies in the inner field of view.
    """

    truth_row: Ints
    distance_um: Floats
    counted: Bools
    truth_counted: Bools


def match(
    frames: Ints, positions_um: Floats, truth: Truth, grid: Grid, tolerances: Tolerances
) -> Matching:
    """Pair found positions with the ground truth of the same frame, and exclude the margin.

    Pairs are made over the whole field of view, then classified by the bubble's position. A
    bubble in the margin (or outside the grid) does not count, nor does the localization
    paired with it, even if that lies inside. A bubble in the inner field of view counts
    together with its localization, even if that lies in the margin. Unpaired positions are
    classified by their own position. Distances ignore axes with one voxel.
    """
    axes = resolved_axes(grid)
    row, truth_row, distance = optimal_pairs(
        frames,
        positions_um[:, axes],
        truth.frames,
        truth.positions_um[:, axes],
        tolerances.pair_um,
    )
    truth_counted = inner(truth.positions_um, grid, tolerances.margin_um)
    counted = inner(positions_um, grid, tolerances.margin_um)
    counted[row] = truth_counted[truth_row]
    paired = np.full(len(frames), -1, np.int64)
    paired[row] = truth_row
    distances = np.full(len(frames), np.nan)
    distances[row] = distance
    return Matching(paired, distances, counted, truth_counted)
