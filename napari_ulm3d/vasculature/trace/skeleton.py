"""Trace raw centrelines in a mask.

Thinning uses Lee's algorithm (of a plane: scikit-image `skeletonize`). The result is a networkx multigraph:
nodes are junctions and ends, and each edge is a vessel with its path of voxels.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.vasculature.trace.border import distance_outside
from napari_ulm3d.vasculature.trace.components import Components
from napari_ulm3d.vasculature.trace.paths import skeleton_paths
from napari_ulm3d.vasculature.trace.thinning import thinned

__all__ = ["skeleton_graph"]

# Share of the voxels up to which those of the mask are thinned as a list, which is faster;
# scikit-image, with the same result, needs less memory for a full mask.
_MOST_LISTED = 0.15


def skeleton_graph(mask: NDArray[np.bool_], grid: Grid) -> nx.MultiGraph:
    """The centrelines of a mask as a graph.

    Parameters
    ----------
    mask
        (z, y, x) bool.
    grid
        Its grid; positions are returned in micrometres.

    Returns
    -------
    networkx.MultiGraph
        Nodes have ``position`` (3,) um and ``radius`` um; edges have ``path`` (k, 3) um, from the
        node of lower number to the other, and ``radius`` (k,) um, the distance to the border.

    Raises
    ------
    ResultsError
        The skeleton has no path longer than a voxel.
    """
    from skimage.morphology import skeletonize

    box = _bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    corner = np.array([part.start for part in box])
    thin = _thinned(inside, skeletonize)
    if np.count_nonzero(thin) < 2:
        raise ResultsError(
            "The vessel mask has no vessel longer than a voxel. Lower vessels.threshold_high "
            "and vessels.threshold_low, or check that vessels are the bright part."
        )
    return _traced(thin, corner, inside, grid)


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        held = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(0, 0))
    return tuple(box)


def _thinned(mask: NDArray[np.bool_], skeletonize: Any) -> NDArray[np.bool_]:
    """The skeleton; a single plane is thinned in 2-D, with fewer artefacts."""
    flat = [axis for axis in range(3) if mask.shape[axis] == 1]
    if len(flat) == 1:
        return np.expand_dims(skeletonize(mask.squeeze(flat[0])), flat[0])
    if flat or np.count_nonzero(mask) > _MOST_LISTED * mask.size:
        thin = np.asarray(skeletonize(mask), bool)
    else:
        thin = thinned(mask)
    _restore_vanished(mask, thin, skeletonize)
    return thin


def _restore_vanished(mask: NDArray[np.bool_], thin: NDArray[np.bool_], skeletonize: Any) -> None:
    """Restore components that thinning removed, by thinning them again one layer narrower.

    Lee's algorithm in scikit-image erodes a rod that is an even number of voxels wide from its
    ends until nothing is left, since no voxel of such an end is an end point.
    """
    parts = Components.of(mask)
    kept = parts.containing(np.flatnonzero(thin))
    for box, part in parts.cut_out(mask.shape, ~kept):
        for axes in ((2,), (1,), (0,), (1, 2), (0, 2), (0, 1)):
            narrower = part
            for axis in axes:
                narrower = narrower & np.roll(narrower, 1, axis) & (_from_second(part, axis))
            line = np.asarray(skeletonize(narrower), bool)
            if np.count_nonzero(line) > 1:
                thin[box] |= line
                break


def _from_second(part: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Mask of all but the first layer, which `numpy.roll` fills from the last."""
    shape = [1, 1, 1]
    shape[axis] = part.shape[axis]
    return (np.arange(part.shape[axis]) > 0).reshape(shape)


def _traced(
    thin: NDArray[np.bool_], corner: NDArray[np.int64], mask: NDArray[np.bool_], grid: Grid
) -> nx.MultiGraph:
    at, paths = skeleton_paths(thin)
    if not paths:
        raise ResultsError(
            "The vessel mask has no vessel longer than a voxel. Lower vessels.threshold_high "
            "and vessels.threshold_low, or check that vessels are the bright part."
        )
    radius = distance_outside(mask, at, grid)
    position = grid.to_um(at.astype(np.float64) + corner)
    graph = nx.MultiGraph()
    for path in paths:
        a, b = int(path[0]), int(path[-1])
        if a > b:
            a, b, path = b, a, path[::-1]
        for node in (a, b):
            graph.add_node(node, position=position[node], radius=float(radius[node]))
        graph.add_edge(a, b, path=position[path], radius=radius[path])
    return graph
