"""Rigid motion of the whole scene in closed form, so any frame can be evaluated directly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_ulm3d.simulate.config import MotionConfig
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator

__all__ = ["RigidMotion"]

_TONES = 5
_JUMPS = 1  # key of the random numbers of the jumps
_RISE_S = 0.02  # a jump takes this time


@dataclass(frozen=True)
class RigidMotion:
    """Displacement of the whole scene: slow sinusoids with random phase, a drift, and jumps.

    Parameters
    ----------
    config
        RMS, mean frequency and drift; rate and size of the jumps.
    seed
        Seed of the sinusoids' frequencies (0.4 to 1.6 times the mean) and phases, and of the jumps.
    """

    config: MotionConfig
    seed: int

    @property
    def still(self) -> bool:
        """Whether there is no motion."""
        config = self.config
        return not (any(config.rms_um) or any(config.drift_um_s) or config.jumps_hz)

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
        moved = tones * self.config.rms_um + time[:, None] * np.asarray(self.config.drift_um_s)
        return moved + self._jumps(time) if self.config.jumps_hz else moved

    def _jumps(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of the jumps until each time, (t, 3): a Poisson process, normally distributed sizes."""
        rng = generator(self.seed, Purpose.MOTION, _JUMPS)
        last, start = float(time.max(initial=0.0)), 0.0
        moved = np.zeros((time.size, 3))
        # One jump after the other, so that they do not depend on the last time that is asked for.
        while (start := start + rng.exponential(1 / self.config.jumps_hz)) < last:
            size = rng.standard_normal(3) * self.config.jump_um
            moved += np.clip((time - start) / _RISE_S, 0, 1)[:, None] * size
        return moved
