"""All bubbles of a stream: their start, entry and exit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.flow.channels import Channels, channels_of
from napari_ulm3d.simulate.flow.transport import COLUMNS, admit, advance, observe, place

if TYPE_CHECKING:
    from napari_ulm3d.simulate.flow.bubbles import BubbleConfig
    from napari_ulm3d.simulate.vasculature.network import VesselNetwork

__all__ = ["Population"]

_RINGS = 64  # rings of equal area across a lumen, for transit times


class Population:
    """Bubbles that advance from frame to frame, with the number set by the supply.

    Parameters
    ----------
    network
        With flow.
    n_bubbles
        Number, or mean number.
    seed
        Seed of all random numbers.
    config
        How bubbles travel.
    """

    def __init__(
        self, network: VesselNetwork, n_bubbles: float, seed: int, config: BubbleConfig
    ) -> None:
        self._config = config
        self._channels = channels_of(network, config.bubble_radius_um)
        swing = config.pulsatility
        # Speed limits without the pulse, such that they hold at every phase of the heartbeat.
        self._slowest = config.min_speed_mm_s * 1000 / (1 - swing)
        fastest = config.max_speed_mm_s
        self._fastest = np.inf if fastest is None else fastest * 1000 / (1 + swing)
        self._rng = np.random.default_rng(seed)
        self._state = self._rng.integers(0, 2**64, 1, dtype=np.uint64)
        self._steady = config.supply == "steady"
        weight, rings = _residence(self._channels, self._slowest, self._fastest)
        number = round(n_bubbles) if self._steady else int(self._rng.poisson(n_bubbles))
        # Little's law: mean number = entry rate x mean residence time.
        self._entries_per_s = n_bubbles * self._channels.inflow / weight.sum()
        self._bubbles = np.zeros((number, COLUMNS))
        self._where = np.zeros((number, 2), np.int64)
        self._ident = np.arange(number)
        self._next_id = number
        self._elapsed = config.elapsed(0.0)
        segment, streamline = self._draw(weight, rings, number)
        place(
            self._channels, self._bubbles, self._where, segment, streamline,
            self._slowest, self._fastest, self._state,
        )  # fmt: skip

    def _draw(
        self, weight: NDArray[np.float64], rings: NDArray[np.float64], number: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Draw segment and streamline of bubbles in the steady state."""
        cumulative = np.cumsum(weight) / weight.sum()
        segment = np.searchsorted(cumulative[:-1], self._rng.random(number), side="right")
        across = np.cumsum(rings[segment], axis=1)
        ring = (self._rng.random(number)[:, None] * across[:, -1:] >= across[:, :-1]).sum(axis=1)
        widest = self._channels.widest[segment]
        u = (ring + self._rng.random(number)) / _RINGS * widest
        whole = np.where(widest > 0, widest * (2 - widest), 1.0)
        streamline = np.where(widest > 0, u * (2 - u) / whole, self._rng.random(number))
        return segment.astype(np.int64), np.minimum(streamline, 1.0)

    def at(self, frame: int, time_s: float) -> BubbleFrame:
        """Advance to a time (not before the last one requested) and return the bubbles."""
        elapsed = self._config.elapsed(time_s)
        seconds = elapsed - self._elapsed
        self._elapsed = elapsed
        if seconds > 0:
            self._move(seconds)
        position, velocity, radius = observe(
            self._channels, self._bubbles, self._where, self._config.pace(time_s)
        )
        return BubbleFrame(frame, self._ident.copy(), position, velocity, radius)

    def _move(self, seconds: float) -> None:
        left = np.full(len(self._bubbles), seconds)
        if not self._steady:
            entering = int(self._rng.poisson(self._entries_per_s * seconds))
            if entering:
                self._enter(entering)
                left = np.concatenate([left, seconds * self._rng.random(entering)])
        self._next_id = advance(
            self._channels, self._bubbles, self._where, self._ident, left,
            self._slowest, self._fastest, self._steady, self._next_id, self._state,
        )  # fmt: skip
        if not self._steady:
            stay = self._ident >= 0
            if not stay.all():
                self._bubbles, self._where = self._bubbles[stay], self._where[stay]
                self._ident = self._ident[stay]

    def _enter(self, number: int) -> None:
        bubbles, where = np.zeros((number, COLUMNS)), np.zeros((number, 2), np.int64)
        admit(self._channels, bubbles, where, self._slowest, self._fastest, self._state)
        self._bubbles = np.concatenate([self._bubbles, bubbles])
        self._where = np.concatenate([self._where, where])
        self._ident = np.concatenate([self._ident, self._next_id + np.arange(number)])
        self._next_id += number


def _residence(
    channels: Channels, slowest: float, fastest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flow x mean transit time of each segment, (m,), and fractions of its rings, (m, rings)."""
    u = (np.arange(_RINGS) + 0.5) / _RINGS * channels.widest[:, None]
    speed = np.clip(2 * channels.mean_speed[:, None] * (1 - u), slowest, fastest)
    # The fraction of flow in a ring of area du is 2 (1 - u) du over the sum.
    share = (1 - u) / (1 - u).sum(axis=1, keepdims=True)
    time = share * channels.length[:, None] / speed
    weight = channels.flow * time.sum(axis=1)
    return weight, time
