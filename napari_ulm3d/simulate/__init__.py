"""Simulated acquisitions with ground truth: vessels, flow, bubbles and images.

>>> from napari_ulm3d.simulate import preset, simulate
>>> simulation = simulate(preset("mouse-brain-15MHz"))
>>> frames, truth = next(simulation.blocks(200))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d._lazy import lazily

if TYPE_CHECKING:
    from napari_ulm3d.simulate.config import SimulationConfig
    from napari_ulm3d.simulate.formats import write_simulation
    from napari_ulm3d.simulate.presets import PRESETS, preset
    from napari_ulm3d.simulate.randomization import RandomizationConfig, randomize
    from napari_ulm3d.simulate.sample import sample_data_path
    from napari_ulm3d.simulate.simulation import Simulation, simulate
    from napari_ulm3d.simulate.standard import STANDARD_SETS, standard_config

__all__ = [
    "PRESETS",
    "STANDARD_SETS",
    "RandomizationConfig",
    "Simulation",
    "SimulationConfig",
    "preset",
    "randomize",
    "sample_data_path",
    "simulate",
    "standard_config",
    "write_simulation",
]

_WHERE = {
    "PRESETS": "presets",
    "STANDARD_SETS": "standard",
    "RandomizationConfig": "randomization",
    "Simulation": "simulation",
    "SimulationConfig": "config",
    "preset": "presets",
    "randomize": "randomization",
    "sample_data_path": "sample",
    "simulate": "simulation",
    "standard_config": "standard",
    "write_simulation": "formats",
}


# Loaded on first use: importing the compiled parts takes a second.
__getattr__ = lazily(globals(), _WHERE)
