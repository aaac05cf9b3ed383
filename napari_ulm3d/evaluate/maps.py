"""Scores of maps: the Dice coefficient between found and true trajectories."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate.localization import ratio
from napari_ulm3d.evaluate.truth import Truth
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap, refuse_predicted

__all__ = ["MapScores", "dice", "map_dice", "occupied_voxels", "set_dice"]

_CHUNK = 200_000  # segments rasterized at once, to limit memory


@dataclass(frozen=True)
class MapScores:
    """Overlap of the voxels crossed by tracks and bubbles; undefined ratios are NaN.

    Attributes
    ----------
    voxel_um
        Edge length of a voxel.
    n_voxels, n_true_voxels, n_common_voxels
        Voxels crossed by tracks, by bubbles, and by both.
    dice, precision, recall
        2 common / (tracks + truth), common / tracks, common / truth.
    """

    voxel_um: float
    n_voxels: int
    n_true_voxels: int
    n_common_voxels: int
    dice: float
    precision: float
    recall: float


def dice(found: NDArray[np.generic] | VesselMap, truth: NDArray[np.generic] | VesselMap) -> float:
    """Dice coefficient 2 |A and B| / (|A| + |B|) of the non-zero voxels.

    Parameters
    ----------
    found, truth
        Two arrays of equal shape, or two vessel maps on the same grid. NaN if both are empty.

    Raises
    ------
    InputError
        A map was predicted: the output of a network must not raise the score of a measurement.
        Its voxels as arrays (`VesselMap.dense`) can still be compared.
    """
    refuse_predicted(found, truth, what="score")
    a, b = _occupied(found), _occupied(truth)
    if _shape(found) != _shape(truth):
        raise ValueError(f"maps of {_shape(found)} and {_shape(truth)} voxels cannot be compared")
    return ratio(2 * np.intersect1d(a, b, assume_unique=True).size, a.size + b.size)


def set_dice(
    samples: Iterable[tuple[NDArray[np.generic], NDArray[np.generic]]], threshold: float = 0.5
) -> float:
    """One Dice coefficient for a whole set, following Rauby et al. (arXiv 2402.09359).

    The outputs of all samples are binarized, summed and binarized again, and one coefficient is
    computed; true trajectories are summed in the same way.

    Parameters
    ----------
    samples
        (output, truth) of every sample, arrays of equal shape throughout. An output voxel is
        set if it exceeds `threshold`, a true one if it is not zero.
    """
    found: NDArray[np.bool_] | None = None
    true: NDArray[np.bool_] | None = None
    for output, truth in samples:
        if found is None or true is None:
            found, true = np.zeros(output.shape, bool), np.zeros(output.shape, bool)
        if not output.shape == truth.shape == found.shape:
            raise ValueError(
                f"a sample of {output.shape} and {truth.shape} in a set of {found.shape}"
            )
        found |= np.asarray(output, float) > threshold
        true |= truth != 0
    if found is None or true is None:
        return float("nan")
    return ratio(2 * int((found & true).sum()), int(found.sum()) + int(true.sum()))


def map_dice(tracks: Tracks, truth: Truth, grid: Grid, voxel_um: float) -> MapScores:
    """Compare the voxels crossed by tracks with those crossed by bubbles.

    Both are drawn alike: straight lines between successive positions, setting every voxel
    that a line touches. A track is connected across missing frames; a bubble is not connected
    across frames in which the ground truth lacks it. The whole field of view counts, without margin.

    Parameters
    ----------
    grid
        Field of view, divided into cubic voxels (an axis with one voxel stays one voxel).
    voxel_um
        Edge length of the voxels.
    """
    edges = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    fine = grid.isotropic(min(edges or grid.spacing_um) / voxel_um)
    a = occupied_voxels(
        tracks.table["track_id"].to_numpy(), tracks.frames, tracks.positions_um, fine
    )
    b = occupied_voxels(truth.bubble_ids, truth.frames, truth.positions_um, fine, max_gap=0)
    common = np.intersect1d(a, b, assume_unique=True).size
    return MapScores(
        voxel_um=voxel_um,
        n_voxels=a.size,
        n_true_voxels=b.size,
        n_common_voxels=common,
        dice=ratio(2 * common, a.size + b.size),
        precision=ratio(common, a.size),
        recall=ratio(common, b.size),
    )


def occupied_voxels(
    identity: NDArray[np.integer],
    frames: NDArray[np.integer],
    positions_um: NDArray[np.floating],
    grid: Grid,
    max_gap: int | None = None,
) -> NDArray[np.int64]:
    """Voxels of `grid` touched by lines between successive positions of each trajectory.

    Parameters
    ----------
    identity, frames
        (n,) trajectory and frame of each position, in any order.
    positions_um
        (n, 3) z, y, x.
    max_gap
        Positions separated by more missing frames are not connected; None: all are connected.

    Returns
    -------
    index
        C-order flat indices, ascending and unique; positions outside the grid are ignored.
        Along an axis with one voxel, everything is inside.
    """
    order = np.lexsort((frames, identity))
    corner = grid.to_index(positions_um[order]) + 0.5  # voxel k spans [k, k + 1)
    corner[:, [n == 1 for n in grid.shape]] = 0.5
    joined = np.diff(identity[order]) == 0
    if max_gap is not None:
        joined &= np.diff(frames[order]) <= max_gap + 1
    found = [_flat(np.floor(corner).astype(np.int64), grid.shape)]
    for first in range(0, joined.size, _CHUNK):
        part = np.flatnonzero(joined[first : first + _CHUNK]) + first
        found.append(_flat(_traverse(corner[part], corner[part + 1]), grid.shape))
    return np.unique(np.concatenate(found))


def _traverse(start: NDArray[np.float64], stop: NDArray[np.float64]) -> NDArray[np.int64]:
    """Voxels along segments (n, 3), in voxel units.

    A segment is divided where it crosses voxel faces; each piece lies in the voxel of its
    midpoint (Amanatides & Woo, Eurographics 1987, for all segments at once). This
    differs from the rule for maps (`maps.traverse`), where consecutive voxels share a face:
    a line through a corner touches only the two voxels that contain it, and no third one.
    """
    low, high = np.floor(start).astype(np.int64), np.floor(stop).astype(np.int64)
    segments, cuts = [], []
    for axis in range(3):
        count = np.abs(high[:, axis] - low[:, axis])
        segment = np.repeat(np.arange(len(start)), count)
        nth = np.arange(segment.size) - np.repeat(np.cumsum(count) - count, count)
        first = np.minimum(low[:, axis], high[:, axis])[segment]
        face = first + 1 + nth
        length = (stop - start)[segment, axis]
        segments.append(segment)
        cuts.append((face - start[segment, axis]) / length)
    segment = np.concatenate([np.arange(len(start)), *segments])
    cut = np.concatenate([np.zeros(len(start)), *cuts]).clip(0.0, 1.0)
    order = np.lexsort((cut, segment))
    segment, cut = segment[order], cut[order]
    last = np.append(segment[1:] != segment[:-1], True)
    following = np.where(last, 1.0, np.append(cut[1:], 1.0))
    middle = ((cut + following) / 2)[:, None]
    real = following > cut  # a segment through an edge or corner has repeated crossings
    point = start[segment] + middle * (stop - start)[segment]
    return np.floor(point[real]).astype(np.int64)


def _flat(voxel: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.int64]:
    inside = ((voxel >= 0) & (voxel < shape)).all(axis=1)
    return np.ravel_multi_index(tuple(voxel[inside].T), shape).astype(np.int64)


def _occupied(volume: NDArray[np.generic] | VesselMap) -> NDArray[np.int64]:
    if isinstance(volume, VesselMap):
        return volume.index[volume.values != 0]
    return np.flatnonzero(volume)


def _shape(volume: NDArray[np.generic] | VesselMap) -> tuple[int, ...]:
    return volume.shape
