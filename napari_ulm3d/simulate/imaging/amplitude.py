"""Brightness of each bubble, and its drift."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.config import MicrobubbleConfig
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator

__all__ = ["BubbleLevels"]


class BubbleLevels:
    """Levels of bubbles in dB relative to the mean bubble, frame by frame.

    A bubble's level is the sum of a constant, normally distributed with `amplitude_sd_db`, and a
    drift: a stationary first-order autoregressive process, normally distributed with
    `drift_sd_db`, with correlation time `drift_time_s`. The mean level over bubbles is 0 dB, so
    amplitudes ``10**(level / 20)`` are log-normal with median 1.

    Only the bubbles of the latest frame are stored.

    Parameters
    ----------
    config
        Standard deviations and correlation time.
    rate_hz
        Volumes per second.
    seed
        Seed of all levels.
    """

    def __init__(self, config: MicrobubbleConfig, rate_hz: float, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._keep = float(np.exp(-1.0 / (rate_hz * config.drift_time_s)))
        self._id = np.empty(0, np.int64)
        self._state = np.empty((0, 2))

    def step(self, frame: int, bubble_id: NDArray[np.int64]) -> NDArray[np.float64]:
        """Levels (n,) in dB of the bubbles in the next frame, whose number is `frame`."""
        rng = generator(self._seed, Purpose.AMPLITUDE, frame)
        drawn = rng.standard_normal((bubble_id.size, 2))
        state = drawn.copy()
        if self._id.size and bubble_id.size:
            place = np.minimum(np.searchsorted(self._id, bubble_id), self._id.size - 1)
            known = self._id[place] == bubble_id
            before = self._state[place[known]]
            state[known, 0] = before[:, 0]
            state[known, 1] = (
                self._keep * before[:, 1] + np.sqrt(1 - self._keep**2) * drawn[known, 1]
            )
        order = np.argsort(bubble_id, kind="stable")
        self._id, self._state = bubble_id[order], state[order]
        return state @ np.array([self._config.amplitude_sd_db, self._config.drift_sd_db])
