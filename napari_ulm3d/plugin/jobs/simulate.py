"""A simulated acquisition whose frames are simulated when they are read."""

from __future__ import annotations

from typing import Any

from napari_ulm3d.plugin.jobs.job import Stop, Work, waits
from napari_ulm3d.plugin.layers.convert import acquisition_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.simulate.config import SimulationConfig

__all__ = ["lazy_work"]


def lazy_work(config: SimulationConfig) -> Work:
    """Set up a simulation that is not stored; returns the acquisition and its layer."""

    def work(stop: Stop) -> tuple[Any, Any]:
        from napari_ulm3d.simulate import simulate

        acquisition = simulate(config).acquisition
        return acquisition, make_layer(acquisition_layer(acquisition), "acquisition")

    return waits(work)
