"""Vessels with flow from settings, and the bubbles in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.bubbles import stream_bubbles
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.simulate.flow import solve_flow
from napari_ulm3d.simulate.flow.bubbles import BubbleFrame
from napari_ulm3d.simulate.imaging.seeds import Purpose, generator
from napari_ulm3d.simulate.vasculature import (
    VesselNetwork,
    read_network_tables,
    read_secomb,
    read_swc,
    smoothed,
)
from napari_ulm3d.simulate.vasculature.procedural import procedural_network

__all__ = ["carried_bubbles", "make_network", "read_network"]

_SEGMENTS = "_segments.csv"

# Traced trees have the voxel grid of their image in positions and radii; smooth it out over
# about the width of a capillary.
_TRACED_STEP_UM = 8.0


def make_network(config: SimulationConfig) -> VesselNetwork:
    """Create the vessels in the field of view, with flow, from the settings.

    A measured network is first centred on the grid, scaled and cropped; the flow is solved for
    the remaining part, so that the maximum speed occurs inside the field of view.

    Raises
    ------
    ConfigError
        The type of the network file is unknown.
    InputError
        The file cannot be read, or nothing flows.
    """
    vessels, grid = config.vessels, config.grid.grid
    if vessels.source == "file" and vessels.path is not None:
        network = read_network(vessels.path).fitted_to(grid, vessels.scale).largest_component()
    else:
        seed = config.seed if vessels.seed is None else vessels.seed
        network = procedural_network(grid, _derived(seed, Purpose.NETWORK), vessels.growth)
    return solve_flow(network, None, vessels.flow)


def read_network(path: str) -> VesselNetwork:
    """Read vessels from a file, according to its suffix."""
    name = path.lower()
    if name.endswith((".swc", ".swc.gz")):
        return smoothed(read_swc(path), _TRACED_STEP_UM)
    if name.endswith(".dat"):
        return read_secomb(path)[0]
    if name.endswith(_SEGMENTS):
        segments = Path(path)
        return read_network_tables(
            segments.with_name(segments.name[: -len(_SEGMENTS)] + "_nodes.csv"), segments
        )
    raise ConfigError(
        f"{path}: unknown network file. Give .swc, .swc.gz, Secomb's .dat, or *{_SEGMENTS}."
    )


def carried_bubbles(network: VesselNetwork, config: SimulationConfig) -> Iterator[BubbleFrame]:
    """The stream of bubbles of a simulation, from the first to the last frame."""
    if config.bubbles.n_bubbles == 0:
        return _nothing(config.n_frames)
    return stream_bubbles(
        network,
        n_bubbles=config.bubbles.n_bubbles,
        rate_hz=config.rate_hz,
        n_frames=config.n_frames,
        seed=_derived(config.seed, Purpose.BUBBLES),
        config=config.travel,
        grid=config.grid.grid,
    )


def _nothing(n_frames: int) -> Iterator[BubbleFrame]:
    for frame in range(n_frames):
        yield BubbleFrame(
            frame, np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)), np.empty(0)
        )


def _derived(seed: int, purpose: Purpose) -> int:
    """A seed for one purpose, so that vessels and bubbles use different random numbers."""
    return int(generator(seed, purpose).integers(2**31))
