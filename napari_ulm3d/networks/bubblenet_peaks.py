"""From voxel-wise predictions to bubbles: nearby predictions become one localization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["BubblePredictions", "find_peaks"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BubblePredictions:
    """Possible bubble positions: one per voxel or, after `find_peaks`, one per bubble.

    Attributes
    ----------
    frame
        (n,) int64, ascending.
    probability
        (n,) probability of a bubble.
    position
        (n, 3) z, y, x, fractional voxel indices.
    sigma
        (n, 3) standard deviation of the position, voxels.
    velocity
        (n, 3) voxels per frame.
    level
        (n,) log10 of the ratio of amplitude to noise.
    """

    frame: NDArray[np.int64]
    probability: Floats
    position: Floats
    sigma: Floats
    velocity: Floats
    level: Floats

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def concat(cls, parts: Sequence[BubblePredictions]) -> BubblePredictions:
        """Concatenate the parts."""
        names = ("frame", "probability", "position", "sigma", "velocity", "level")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def find_peaks(
    voxels: BubblePredictions, radius: tuple[float, float, float], min_score: float
) -> BubblePredictions:
    """Greedy non-maximum suppression with summation of probabilities.

    In every frame, the voxel with the highest probability is grouped with all voxels whose
    predicted positions lie within an ellipsoid with semi-axes `radius` around its own; then the
    next remaining voxel follows. A bubble between two voxels is often predicted by both,
    each with half of the probability, so the group's score is the sum, at most 1 (DECODE's
    integration over neighbours). Its position is the mean weighted by probability over variance;
    its sigma combines the mean variance and the spread of the positions; velocity and level are
    means weighted by probability.

    Parameters
    ----------
    voxels
        Candidates, with ascending frames.
    radius
        Semi-axes along z, y, x, voxels: closer bubbles are not separated.
    min_score
        Bubbles with a lower score are dropped.

    Returns
    -------
    BubblePredictions
        Sorted by frame, then by descending score.
    """
    n = len(voxels)
    order = np.lexsort((-voxels.probability, voxels.frame))
    columns = (voxels.probability, voxels.position, voxels.sigma, voxels.velocity, voxels.level)
    table = np.column_stack(columns).astype(np.float64).reshape(n, 11)[order]
    frames = voxels.frame[order]
    first, merged = _merge(frames, table, np.asarray(radius, np.float64))
    chosen = merged[:, 0] >= min_score
    frames, merged = frames[first[chosen]], merged[chosen]
    order = np.lexsort((-merged[:, 0], frames))
    frames, merged = frames[order], merged[order]
    return BubblePredictions(
        frames, merged[:, 0], merged[:, 1:4], merged[:, 4:7], merged[:, 7:10], merged[:, 10]
    )


@njit(cache=True, nogil=True)
def _merge(frame, table, radius):  # type: ignore[no-untyped-def]
    """Group rows sorted by frame and descending probability: first row and merged row of each."""
    n = len(frame)
    first = np.empty(n, np.int64)
    merged = np.zeros((n, 11))
    taken = np.zeros(n, np.bool_)
    groups = 0
    for i in range(n):
        if taken[i]:
            continue
        total = 0.0
        weight, mean = np.zeros(3), np.zeros(3)
        square, variance = np.zeros(3), np.zeros(3)
        j = i
        while j < n and frame[j] == frame[i]:
            far = 0.0
            for a in range(3):
                far += ((table[j, 1 + a] - table[i, 1 + a]) / radius[a]) ** 2
            if not taken[j] and far <= 1.0:
                taken[j] = True
                p = table[j, 0]
                total += p
                for a in range(3):
                    w = p / table[j, 4 + a] ** 2
                    step = table[j, 1 + a] - table[i, 1 + a]
                    weight[a] += w
                    mean[a] += w * step
                    square[a] += w * step * step
                    variance[a] += p  # w times this voxel's variance
                for k in range(7, 11):
                    merged[groups, k] += p * table[j, k]
            j += 1
        first[groups] = i
        merged[groups, 0] = min(1.0, total)
        for a in range(3):
            mean[a] /= weight[a]
            merged[groups, 1 + a] = table[i, 1 + a] + mean[a]
            spread = max(0.0, square[a] / weight[a] - mean[a] * mean[a])
            merged[groups, 4 + a] = np.sqrt(variance[a] / weight[a] + spread)
        merged[groups, 7:11] /= total
        groups += 1
    return first[:groups], merged[:groups]
