"""Bubbles carried through a vessel network: what an ideal observer would see, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

if TYPE_CHECKING:
    from napari_ulm3d.simulate.flow.population import Population

__all__ = ["BubbleConfig", "BubbleFrame", "stream_bubbles"]


@dataclass(frozen=True)
class BubbleFrame:
    """Where the bubbles are at the instant of one frame.

    Parameters
    ----------
    frame
        Number of the frame, from 0.
    bubble_id
        (n,) int64, unique over the whole stream: a bubble that leaves never returns under
        its old number.
    position_um
        (n, 3) z, y, x, micrometres.
    velocity_mm_s
        (n, 3) z, y, x, mm/s.
    radius_um
        (n,) radius of the vessel each bubble is in, micrometres.
    """

    frame: int
    bubble_id: NDArray[np.int64]
    position_um: NDArray[np.float64]
    velocity_mm_s: NDArray[np.float64]
    radius_um: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.bubble_id)


class BubbleConfig(StageConfig):
    """How bubbles travel with the blood."""

    supply: Literal["steady", "poisson"] = setting(
        "steady",
        "steady: the number is exact, one enters as one leaves; poisson: they enter at random.",
    )
    bubble_radius_um: float = setting(
        1.0, "A bubble's centre keeps this far from the wall.", "um", ge=0
    )
    max_speed_mm_s: float | None = setting(
        30.0, "No bubble is faster than this (none: as the flow has it).", "mm/s", gt=0
    )
    min_speed_mm_s: float = setting(
        0.05, "No bubble is slower than this, in vessels where anything flows.", "mm/s", gt=0
    )
    heart_rate_hz: float = setting(5.0, "Heart beats a second.", "Hz", gt=0)
    pulsatility: float = setting(
        0.0, "Speeds swing by this share of their mean with the heart (0: steady flow).", ge=0, lt=1
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_speed_mm_s is not None:
            swing = (1 + self.pulsatility) / (1 - self.pulsatility)
            if self.min_speed_mm_s * swing > self.max_speed_mm_s:
                raise ValueError("min_speed_mm_s leaves no room below max_speed_mm_s")
        return self

    def elapsed(self, time_s: float) -> float:
        """Seconds of steady flow that carry as far as the pulse does in `time_s`."""
        omega = 2 * np.pi * self.heart_rate_hz
        return time_s + self.pulsatility * (1 - np.cos(omega * time_s)) / omega

    def pace(self, time_s: float) -> float:
        """Speed at a time over its mean: 1 + pulsatility sin(2 pi heart_rate t)."""
        return 1 + self.pulsatility * float(np.sin(2 * np.pi * self.heart_rate_hz * time_s))


def stream_bubbles(
    network: VesselNetwork,
    *,
    n_bubbles: float,
    rate_hz: float,
    n_frames: int | None,
    seed: int,
    config: BubbleConfig | None = None,
    grid: Grid | None = None,
) -> Iterator[BubbleFrame]:
    """Bubbles in a network with flow, one frame after another.

    Each bubble runs down a streamline of a parabolic profile: it keeps the share of the flow
    that passes nearer to the centreline than itself, its speed is 2 v (1 - (r/R)^2) with v
    the mean of the vessel, and its offset from the centreline turns with the vessel. At a
    bifurcation it takes a branch in proportion to the flow; it leaves at the outlets, and
    bubbles enter in proportion to the inflow. The stream begins in the steady state: a place
    holds bubbles in proportion to flow times transit time. Within a segment the path is
    straight: position = entry + velocity x time. A bubble's centre never leaves the lumen.

    Parameters
    ----------
    network
        With flow (`simulate.flow.solve_flow`).
    n_bubbles
        Number of bubbles in the network, or its mean (`supply` ``"poisson"``). With
        ``"steady"`` it is rounded to a whole number.
    rate_hz
        Frames a second; frame k is at k / rate_hz.
    n_frames
        Number of frames. None: without end.
    seed
        Same seed, same stream, however it is consumed.
    config
        Supply, speed limits, pulse.
    grid
        Field of view: the network is cropped to it first, so that `n_bubbles` counts what is
        inside (a vessel that leaves ends there and one that comes back begins there). A
        bubble off the centreline of a vessel that runs along a border may lie outside by up to
        the vessel's radius.

    Yields
    ------
    BubbleFrame

    Raises
    ------
    ConfigError
        If a number is out of range.
    InputError
        If the network has no flow, or none in the field of view.
    """
    if not (np.isfinite(n_bubbles) and n_bubbles >= 0):
        raise ConfigError(f"n_bubbles must be a number from 0, not {n_bubbles}.")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"rate_hz must be positive, not {rate_hz}.")
    if n_frames is not None and n_frames < 0:
        raise ConfigError(f"n_frames must not be negative, as {n_frames} is.")
    if seed < 0:
        raise ConfigError(f"seed must not be negative, as {seed} is.")
    from napari_ulm3d.simulate.flow.population import Population

    network = network if grid is None else network.cropped(grid)
    # Built here, not at the first frame, so that a mistake shows where it was made.
    population = Population(network, n_bubbles, seed, config or BubbleConfig())
    return _frames(population, rate_hz, n_frames)


def _frames(population: Population, rate_hz: float, n_frames: int | None) -> Iterator[BubbleFrame]:
    for frame in count() if n_frames is None else range(n_frames):
        yield population.at(frame, frame / rate_hz)
