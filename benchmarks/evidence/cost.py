"""CPU time of the evidence relative to the conventional pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.crowds.scenes import crowd_scene
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LinkConfig, MapConfig, PipelineConfig
from napari_ulm3d.link import chance_tracks
from napari_ulm3d.maps import MapAccumulator, forecast_saturation
from napari_ulm3d.maps.resolved import resolved
from napari_ulm3d.pipeline import run

__all__ = ["costs"]


def costs(n_bubbles: int, frames: int, repeats: int, seed: int) -> dict[str, float]:
    """CPU time (s) of a conventional run and of each kind of evidence computed from its results.

    The run computes neither map errors nor resolution. The evidence it does compute (chance
    tracks, forecast) is subtracted from its time.

    Parameters
    ----------
    n_bubbles, frames, seed
        Parameters of the scene.
    repeats
        Number of repetitions of the scene's frames, so that the acquisition has several blocks.
    """
    scene = crowd_scene(n_bubbles, seed, frames)
    once = scene.acquisition
    data = np.tile(once.read(0, frames), (repeats, 1, 1, 1))
    acquisition = Acquisition.from_array(
        data, once.grid.spacing_um, once.rate_hz, wavelength_um=once.wavelength_um
    )
    plain = MapConfig(fsc=False, local_resolution=False, confidence="none")
    config = PipelineConfig(maps=plain)
    run(once, config)  # compile first
    spent: dict[str, float] = {}

    def timed(name: str, call: Callable[[], object]) -> None:
        began = time.process_time()
        call()
        spent[name] = time.process_time() - began

    began = time.process_time()
    result = run(acquisition, config)
    whole = time.process_time() - began
    grid, tracks = acquisition.grid, result.tracks

    def maps(config: MapConfig) -> MapAccumulator:
        accumulator = MapAccumulator(grid, config)
        accumulator.add(tracks)
        accumulator.maps()
        return accumulator

    timed("chance", lambda: chance_tracks(result.localizations, acquisition.rate_hz, LinkConfig()))
    timed("forecast", lambda: forecast_saturation(result.saturation))
    timed("maps", lambda: maps(plain))
    timed("errors", lambda: maps(plain.replace(confidence="error")))
    timed("resolution", lambda: resolved(maps(MapConfig(confidence="none"))))
    alone = spent["maps"]
    return {
        "conventional pipeline": whole - spent["chance"] - spent["forecast"],
        "tracks by chance": spent["chance"],
        "forecast": spent["forecast"],
        "errors of the maps": spent["errors"] - alone,
        "resolution, also local": spent["resolution"] - alone,
    }
