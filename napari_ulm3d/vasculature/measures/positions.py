"""Track positions, prepared for the measurement of vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.tables import Tracks

__all__ = ["Positions", "independent", "largest_variance"]

# The heading is the chord over this many frames before and after, known if it is longer than this
# many standard deviations of a position.
_LAG_FRAMES, _MOVED = 10, 4.0
_TIME_BLOCKS = 20


@dataclass(frozen=True)
class Positions:
    """Rows of the tracks.

    Attributes
    ----------
    position_um, velocity_mm_s
        (n, 3).
    heading
        (n, 3) unit vector of the direction of motion, 0 where noise hides it.
    track
        (n,) track of each row.
    block
        (n,) time block of each row, out of twenty of equal length.
    inner
        (n,) bool: not near a track's end, where positions are averaged over fewer frames.
    """

    position_um: NDArray[np.float64]
    velocity_mm_s: NDArray[np.float64]
    heading: NDArray[np.float64]
    track: NDArray[np.int64]
    block: NDArray[np.int64]
    inner: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.track)

    @classmethod
    def of(cls, tracks: Tracks, error_um: float, smoothing_frames: int) -> Positions:
        """From tracks sorted by track and frame, and the standard deviation of a position."""
        position = tracks.positions_um
        track = tracks.table["track_id"].to_numpy(np.int64)
        n = len(track)
        begins = np.flatnonzero(np.append(True, track[1:] != track[:-1])[:n])
        sizes = np.diff(np.append(begins, n))
        first, last = np.repeat(begins, sizes), np.repeat(begins + sizes - 1, sizes)
        row = np.arange(n)
        chord = (
            position[np.minimum(row + _LAG_FRAMES, last)]
            - position[np.maximum(row - _LAG_FRAMES, first)]
        )
        length = np.sqrt((chord**2).sum(axis=1))
        told = length > _MOVED * error_um
        heading = np.where(told[:, None], chord / np.where(told, length, 1.0)[:, None], 0.0)
        time = tracks.table["time_s"].to_numpy(np.float64)
        span = float(np.ptp(time)) or 1.0
        block = np.minimum((time - time.min()) / span * _TIME_BLOCKS, _TIME_BLOCKS - 1)
        margin = (smoothing_frames - 1) // 2
        inner = (row - first >= margin) & (last - row >= margin)
        velocity = tracks.velocities_mm_s
        return cls(position, velocity, heading, track, block.astype(np.int64), inner)

    def selected(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Positions:
        """A selection of rows."""
        return Positions(
            self.position_um[rows],
            self.velocity_mm_s[rows],
            self.heading[rows],
            self.track[rows],
            self.block[rows],
            self.inner[rows],
        )


def independent(
    values: NDArray[np.float64], track: NDArray[np.int64], block: NDArray[np.int64]
) -> float:
    """Effective number of independent values in a mean.

    Rows of a track are correlated, as are tracks of a bubble that was lost and found again. The
    variance of the mean is computed with tracks and with time blocks as clusters (Liang & Zeger,
    Biometrika 73:13-22, 1986), and the larger one is used.
    """
    variance = float(values.var())
    if not variance > 0:
        return float(len(np.unique(track)))
    away = (values - values.mean()) / len(values)
    worst = largest_variance(away, track, block)
    if worst == 0:
        return 1.0
    return float(np.clip(variance / worst, 1.0, len(np.unique(track))))


def largest_variance(
    parts: NDArray[np.float64], track: NDArray[np.int64], block: NDArray[np.int64]
) -> float:
    """Variance of a sum of (n,) deviations, with tracks or time blocks as clusters: the larger."""
    worst = 0.0
    for group in (track, block):
        _, at = np.unique(group, return_inverse=True)
        sums = np.bincount(at, parts)
        m = len(sums)
        if m > 1:
            worst = max(worst, float((sums**2).sum()) * m / (m - 1))
    return worst
