"""Methods of linking bubbles, all with the same points, gates and gaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from benchmarks.linkers.scenes import Labels, Points, Scene, Truth
from napari_ulm3d.link.chains import ChainBuilder, chain_labels
from napari_ulm3d.link.learning import learn_motion, sample_size

__all__ = ["LINKERS", "Linker"]

Linker = Callable[[Scene, Truth], Labels]


def ours(scene: Scene, truth: Truth) -> Labels:
    return _with_motion(scene, truth, np.zeros_like(truth.position))


def ours_with_given_velocities(scene: Scene, truth: Truth) -> Labels:
    """`link` with velocity columns; the error of each component is 20 % of the speed."""
    rng = np.random.default_rng(1)
    speed = np.linalg.norm(truth.velocity, axis=1, keepdims=True)
    velocity = truth.velocity + rng.normal(0, 0.2, truth.velocity.shape) * speed
    return _with_motion(scene, truth, np.nan_to_num(velocity) * 1000 / scene.rate_hz / 2)


def without_prediction(scene: Scene, truth: Truth) -> Labels:
    return chain_labels(truth.frame, truth.position, scene.gates_um)


def _with_motion(scene: Scene, truth: Truth, shift: Points) -> Labels:
    """Chains as in `link`, with the motion learned from the first localizations."""
    n = sample_size(truth.frame)
    gates = scene.gates_um
    model = learn_motion(truth.frame[:n], truth.position[:n], gates[0], shift[:n])
    return chain_labels(truth.frame, truth.position, gates, shift, model=model)


def _frames(truth: Truth) -> list[tuple[int, int, int]]:
    numbers, first = np.unique(truth.frame, return_index=True)
    stop = np.append(first[1:], len(truth.frame))
    return list(zip(numbers.tolist(), first.tolist(), stop.tolist(), strict=True))


def _run(builder: ChainBuilder, truth: Truth, shift: Points | None = None) -> Labels:
    shift = np.zeros_like(truth.position) if shift is None else shift
    for frame, start, stop in _frames(truth):
        rows = list(range(start, stop))
        builder.push(frame, truth.position[start:stop], shift[start:stop], rows)
    builder.finish()
    labels = np.full(len(truth.frame), -1, np.int64)
    for chain in builder.take_finished():
        labels[chain.rows] = chain.id
    return labels


def _two_stages(assigner: Callable[[Points, Points, float], Labels]) -> Linker:
    """The same two stages with a different assignment solver."""

    class Builder(ChainBuilder):
        def _assign(self, source: Any, position: Points, shift: Points, apart: int) -> Labels:
            return assigner(source.position, position, self.gates[apart - 1])

    return lambda scene, truth: _run(Builder(scene.gates_um), truth)


def dense_assignment(source: Points, target: Points, gate: float) -> Labels:
    """scipy's linear_sum_assignment on the whole matrix of a frame pair."""
    cost = ((source[:, None] - target[None]) ** 2).sum(axis=-1)
    far = cost > gate * gate
    cost[far] = (len(source) + 1) * gate * gate
    links = np.full(len(source), -1, np.int64)
    for i, j in zip(*linear_sum_assignment(cost), strict=True):
        if not far[i, j]:
            links[i] = j
    return links


def component_assignment(source: Points, target: Points, gate: float) -> Labels:
    """scipy's linear_sum_assignment on each connected component of the gated pairs."""
    links = np.full(len(source), -1, np.int64)
    pairs = _pairs(source, target, gate)
    n, m = len(source), len(target)
    graph = coo_array((np.ones(len(pairs["i"])), (pairs["i"], pairs["j"] + n)), (n + m, n + m))
    n_parts, part = connected_components(graph, directed=False)
    order = np.argsort(part, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(part, minlength=n_parts))[:-1]):
        rows, columns = members[members < n], members[members >= n] - n
        if len(rows) == 1 and len(columns) == 1:
            links[rows[0]] = columns[0]
        elif len(rows) and len(columns):
            chosen = dense_assignment(source[rows], target[columns], gate)
            links[rows[chosen >= 0]] = columns[chosen[chosen >= 0]]
    return links


def sparse_assignment(source: Points, target: Points, gate: float) -> Labels:
    """scipy's min_weight_full_bipartite_matching, with an "unlinked" column per source."""
    links = np.full(len(source), -1, np.int64)
    n, m = len(source), len(target)
    if not n:
        return links
    pairs = _pairs(source, target, gate)
    # Zero weights mean "no edge" there, so all weights are raised by one squared gate.
    weight = np.concatenate((pairs["v"] ** 2 + gate**2, np.full(n, (n + 2) * gate**2)))
    row = np.concatenate((pairs["i"], np.arange(n)))
    column = np.concatenate((pairs["j"], m + np.arange(n)))
    rows, columns = min_weight_full_bipartite_matching(
        coo_array((weight, (row, column)), (n, m + n)).tocsr()
    )
    linked = columns < m
    links[rows[linked]] = columns[linked]
    return links


def _pairs(source: Points, target: Points, gate: float) -> NDArray[np.void]:
    if not len(source) or not len(target):
        return np.zeros(0, [("i", np.intp), ("j", np.intp), ("v", float)])
    return cKDTree(source).sparse_distance_matrix(cKDTree(target), gate, output_type="ndarray")


def laptrack(scene: Scene, truth: Truth) -> Labels:
    from laptrack import LapTrack

    tracker = LapTrack(
        metric="sqeuclidean",
        cutoff=scene.gates_um[0] ** 2,
        gap_closing_metric="sqeuclidean",
        gap_closing_cutoff=scene.gates_um[-1] ** 2 if scene.max_gap else False,
        gap_closing_max_frame_count=scene.max_gap,
        splitting_cutoff=False,
        merging_cutoff=False,
    )
    frames = _frames(truth)
    tree = tracker.predict([truth.position[start:stop] for _, start, stop in frames])
    successor = {frames[a][1] + i: frames[b][1] + j for (a, i), (b, j) in tree.edges}
    labels = np.full(len(truth.frame), -1, np.int64)
    for n_tracks, start in enumerate(sorted(set(range(len(labels))) - set(successor.values()))):
        row: int | None = start
        while row is not None:
            labels[row] = n_tracks
            row = successor.get(row)
    return labels


def trackpy(scene: Scene, truth: Truth) -> Labels:
    import pandas as pd
    import trackpy as tp

    tp.quiet()
    table = pd.DataFrame(truth.position, columns=["z", "y", "x"]).assign(frame=truth.frame)
    if scene.extent_um[1] == 0:
        table = table.drop(columns="y")
    linked = tp.link(
        table,
        search_range=scene.gates_um[0],
        memory=scene.max_gap,
        pos_columns=[name for name in "zyx" if name in table],
        t_column="frame",
    )
    return linked["particle"].sort_index().to_numpy(np.int64)


LINKERS: dict[str, Linker] = {
    "this package": ours,
    "  + velocities given, 20 % off": ours_with_given_velocities,
    "  prediction none": without_prediction,
    "scipy LSA, dense": _two_stages(dense_assignment),
    "scipy LSA per component": _two_stages(component_assignment),
    "scipy sparse matching": _two_stages(sparse_assignment),
    "laptrack": laptrack,
    "trackpy": trackpy,
}
