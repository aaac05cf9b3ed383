"""Bubbles carried through a vessel network, as an ideal observer would see them, per frame."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.flow.bubbles import BubbleConfig, BubbleFrame
from napari_ulm3d.simulate.vasculature.network import VesselNetwork

if TYPE_CHECKING:
    from napari_ulm3d.simulate.flow.population import Population

__all__ = ["stream_bubbles"]


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
    """Generate the bubbles in a network with flow, frame by frame.

    Each bubble follows a streamline of a parabolic profile: the fraction of the flow that passes
    closer to the centreline stays constant, its speed is 2 v (1 - (r/R)^2) with v the mean speed
    in the vessel, and its offset from the centreline turns with the vessel. At a bifurcation
    it chooses a branch with a probability proportional to the flow. Bubbles leave at the outlets
    and enter in proportion to the inflow. The stream begins in the steady state: each place
    contains bubbles in proportion to flow times transit time. Within a segment the path is
    straight: position = entry + velocity x time. A bubble's centre never leaves the lumen.

    Parameters
    ----------
    network
        With flow (`simulate.flow.solve_flow`).
    n_bubbles
        Number of bubbles in the network, or the mean number (`supply` ``"poisson"``). With
        ``"steady"`` it is rounded to a whole number.
    rate_hz
        Frames per second; frame k is at k / rate_hz.
    n_frames
        Number of frames. None: endless.
    seed
        The same seed gives the same stream, however it is consumed.
    config
        Supply, speed limits, pulse.
    grid
        Field of view: the network is cropped to it first, so that `n_bubbles` counts bubbles
        inside (a vessel that leaves ends there, and one that returns begins there). A bubble
        off the centreline of a vessel along a border may lie outside by up to the vessel's
        radius.

    Yields
    ------
    BubbleFrame

    Raises
    ------
    ConfigError
        A number is out of range.
    InputError
        The network has no flow, or none in the field of view.
    """
    if not (np.isfinite(n_bubbles) and n_bubbles >= 0):
        raise ConfigError(f"n_bubbles must be 0 or more, not {n_bubbles}.")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"rate_hz must be positive, not {rate_hz}.")
    if n_frames is not None and n_frames < 0:
        raise ConfigError(f"n_frames must not be negative ({n_frames}).")
    if seed < 0:
        raise ConfigError(f"seed must not be negative ({seed}).")
    from napari_ulm3d.simulate.flow.population import Population

    network = network if grid is None else network.cropped(grid)
    # Built here, not at the first frame, so that an error is raised at the call.
    population = Population(network, n_bubbles, seed, config or BubbleConfig())
    return _frames(population, rate_hz, n_frames)


def _frames(population: Population, rate_hz: float, n_frames: int | None) -> Iterator[BubbleFrame]:
    for frame in count() if n_frames is None else range(n_frames):
        yield population.at(frame, frame / rate_hz)
