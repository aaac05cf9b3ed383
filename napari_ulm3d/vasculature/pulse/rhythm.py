"""Find a rhythm that all tracks share, given the unknown mean speed of each track.

The speed is modelled as m (1 + p(t)), with m specific to the track and p, a sum of harmonics,
common to all. The mean over each track is subtracted from the regressors as well as from the
speeds, so that amplitudes are unbiased even if tracks are shorter than a beat (the within
estimator; Frisch & Waugh, Econometrica 1:387-401, 1933).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Speeds", "spectrum", "waveform"]


@dataclass(frozen=True)
class Speeds:
    """Track rows, sorted by track: time (n,) s, speed along the track (n,), track (n,) from 0."""

    time: NDArray[np.float64]
    speed: NDArray[np.float64]
    track: NDArray[np.int64]

    def selected(self, rows: NDArray[np.bool_]) -> Speeds:
        """A selection of rows, with tracks renumbered."""
        _, track = np.unique(self.track[rows], return_inverse=True)
        return Speeds(self.time[rows], self.speed[rows], track)

    def track_mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(tracks,) mean of values (n,) over each track."""
        return np.asarray(np.bincount(self.track, values) / np.bincount(self.track))

    def within(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) values minus their mean over the track."""
        return values - self.track_mean(values)[self.track]


def spectrum(
    speeds: Speeds, frequencies: NDArray[np.float64], windows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(f,) sum over windows of the sum of squares explained by a sinusoid, over twice the variance.

    The phase may differ between windows. Without a rhythm, each term is half a chi-squared
    variable with two degrees of freedom, times a factor for the correlation of rows.
    """
    mean = np.maximum(speeds.track_mean(speeds.speed), 0.0)[speeds.track]
    away = speeds.within(speeds.speed)
    power = np.zeros(len(frequencies))
    n_windows = int(windows.max()) + 1
    for k, f in enumerate(frequencies):
        turn = 2 * np.pi * f * speeds.time
        c, s = mean * speeds.within(np.cos(turn)), mean * speeds.within(np.sin(turn))
        cc, ss, cs, cy, sy = (
            np.bincount(windows, product, n_windows)
            for product in (c * c, s * s, c * s, c * away, s * away)
        )
        det = cc * ss - cs**2
        held = det > 1e-9 * np.maximum(cc * ss, 1e-300)
        explained = (ss * cy**2 - 2 * cs * cy * sy + cc * sy**2)[held] / det[held]
        power[k] = explained.sum()
    return power / (2 * max(float(away.var()), 1e-300))


def waveform(
    speeds: Speeds, phase: NDArray[np.float64], harmonics: int, gain: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2 h,) cosine and sine amplitudes of the harmonics relative to the mean speed, and covariance.

    Parameters
    ----------
    speeds
        Track rows.
    phase
        (n,) phase of the beat, radians.
    harmonics
        Number of harmonics h.
    gain
        (h,) attenuation of each harmonic by smoothing.
    """
    waves = np.stack(
        [w(h * phase) * gain[h - 1] for h in range(1, harmonics + 1) for w in (np.cos, np.sin)]
    )
    mean = np.maximum(speeds.track_mean(speeds.speed), 0.0)
    away = speeds.within(speeds.speed)
    amplitude = np.zeros(len(waves))
    matrix = np.eye(len(waves))
    for _ in range(4):
        columns = mean[speeds.track] * np.stack([speeds.within(w) for w in waves])
        matrix = columns @ columns.T
        amplitude = np.linalg.lstsq(matrix, columns @ away, rcond=None)[0]
        # Update each track's mean speed, given the part of the beat that it covers.
        beat = np.clip(1 + amplitude @ waves, 0.1, None)
        mean = np.bincount(speeds.track, speeds.speed) / np.bincount(speeds.track, beat)
        mean = np.maximum(mean, 0.0)
    rest = away - amplitude @ columns
    scores = np.stack([np.bincount(speeds.track, column * rest) for column in columns])
    inverse = np.linalg.pinv(matrix)
    # Covariance with tracks as clusters.
    return amplitude, np.asarray(inverse @ (scores @ scores.T) @ inverse)
