"""Rigid motion of the whole scene in closed form, so any frame can be evaluated directly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.simulate.config import MotionConfig
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator

__all__ = ["RigidMotion"]

_TONES = 5


@dataclass(frozen=True)
class RigidMotion:
    """Displacement of the whole scene: a sum of slow sinusoids with random phase, and a drift.

    Parameters
    ----------
    config
        RMS, mean frequency and drift.
    seed
        Seed of the sinusoids' frequencies (0.4 to 1.6 times the mean) and phases.
    """

    config: MotionConfig
    seed: int

    @property
    def still(self) -> bool:
        """Whether there is no motion."""
        return not (any(self.config.rms_um) or any(self.config.drift_um_s))

    def displacement_um(self, time_s: ArrayLike) -> NDArray[np.float64]:
        """Displacement z, y, x at times (t,) as (t, 3) micrometres; zero at time zero."""
        time = np.atleast_1d(np.asarray(time_s, np.float64))
        if self.still:
            return np.zeros((time.size, 3))
        rng = generator(self.seed, Purpose.MOTION)
        hertz = self.config.rate_hz * rng.uniform(0.4, 1.6, (3, _TONES))
        phase = rng.uniform(0, 2 * np.pi, (3, _TONES))
        angle = 2 * np.pi * time[:, None, None] * hertz + phase
        # n sinusoids of amplitude sqrt(2 / n) have unit RMS together.
        tones = np.sqrt(2 / _TONES) * (np.sin(angle) - np.sin(phase)).sum(axis=2)
        return tones * self.config.rms_um + time[:, None] * np.asarray(self.config.drift_um_s)
