"""Trace raw centrelines in a mask: scikit-image thins the mask, and skan traces the skeleton.

Thinning uses Lee's algorithm (scikit-image `skeletonize`), tracing uses skan's `Skeleton`
(Nunez-Iglesias et al., PeerJ 6:e4312, 2018). The result is a networkx multigraph: nodes are
junctions and ends, and each edge is a vessel with its path of voxels.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError

__all__ = ["skeleton_graph"]

# Labelling the components of a larger mask would take too much memory.
_MOST_LABELLED = 50_000_000


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
    thin = np.asarray(skeletonize(mask), bool)
    if mask.size <= _MOST_LABELLED or not thin.any():
        _restore_vanished(mask, thin, skeletonize)
    return thin


def _restore_vanished(mask: NDArray[np.bool_], thin: NDArray[np.bool_], skeletonize: Any) -> None:
    """Restore components that thinning removed, by thinning them again one layer narrower.

    Lee's algorithm in scikit-image erodes a rod that is an even number of voxels wide from its
    ends until nothing is left, since no voxel of such an end is an end point.
    """
    from scipy import ndimage

    parts, n = ndimage.label(mask, np.ones((3, 3, 3)))
    kept = np.zeros(n + 1, bool)
    kept[np.unique(parts[thin])] = True
    kept[0] = True
    if kept.all():
        return
    boxes = ndimage.find_objects(parts)
    for number in np.flatnonzero(~kept):
        box = boxes[number - 1]
        part = parts[box] == number
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
    from skan import Skeleton

    try:
        traced = Skeleton(thin)
    except ValueError:  # skan: no pixel has a neighbour
        traced = None
    if traced is None or traced.n_paths == 0:
        raise ResultsError(
            "The vessel mask has no vessel longer than a voxel. Lower vessels.threshold_high "
            "and vessels.threshold_low, or check that vessels are the bright part."
        )
    at = np.asarray(traced.coordinates, np.float64)
    radius = _distance_outside(mask, at.astype(np.int64), grid)
    position = grid.to_um(at + corner)
    graph = nx.MultiGraph()
    for k in range(traced.n_paths):
        path = np.asarray(traced.path(k))
        a, b = int(path[0]), int(path[-1])
        if a > b:
            a, b, path = b, a, path[::-1]
        for node in (a, b):
            graph.add_node(node, position=position[node], radius=float(radius[node]))
        graph.add_edge(a, b, path=position[path], radius=radius[path])
    return graph


def _distance_outside(
    mask: NDArray[np.bool_], at: NDArray[np.int64], grid: Grid
) -> NDArray[np.float64]:
    """(n,) distance from voxels of a mask to its surface, micrometres.

    Computed only on the skeleton: a distance transform of a whole brain takes 1 GB.
    """
    from scipy import ndimage
    from scipy.spatial import cKDTree

    held = [k for k in range(3) if mask.shape[k] > 1 or grid.shape[k] > 1]
    spacing = np.asarray(grid.spacing_um)[held]
    cross = np.zeros((3, 3, 3), bool)
    cross[1, 1, 1] = True
    for axis in held:
        for side in (0, 2):
            cell = [1, 1, 1]
            cell[axis] = side
            cross[tuple(cell)] = True
    border = mask & ~ndimage.binary_erosion(mask, cross)
    points = np.argwhere(border)[:, held] * spacing
    if not len(points):
        return np.full(len(at), float(spacing.min()) / 2)
    distance, _ = cKDTree(points).query(at[:, held] * spacing, workers=1)
    # The surface is half a voxel beyond the centre of a border voxel.
    return np.asarray(distance + float(spacing.mean()) / 2)
