"""Simulated scenes with ground truth, for the benchmarks of localizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LinkConfig, PipelineConfig
from napari_ulm3d.evaluate import EvaluateConfig, Scores, Truth, evaluate
from napari_ulm3d.link import link
from napari_ulm3d.simulate import preset, simulate
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.tables import Localizations, Tracks

VALIDATION_SEED = 8_000_010_000
"""First seed for choosing settings; used neither in training and its validation nor in tests."""
NUMBERS = (10, 40, 160)
"""Numbers of bubbles in view in the validation scenes, as in the standard sets."""


@dataclass(frozen=True)
class Scene:
    """Frames in memory with their ground truth."""

    name: str
    acquisition: Acquisition
    truth: Truth


def make_scene(settings: SimulationConfig) -> Scene:
    """Simulate all frames in advance, so that the time of a run does not include it."""
    simulation = simulate(settings)
    lazy = simulation.acquisition
    acquisition = Acquisition.from_array(
        lazy.read(0, lazy.n_frames),
        lazy.grid.spacing_um,
        lazy.rate_hz,
        origin_um=lazy.grid.origin_um,
        wavelength_um=lazy.wavelength_um,
        name=settings.name,
    )
    return Scene(settings.name, acquisition, Truth(simulation.truth))


def validation_scenes(frames: int, sample: int = 0) -> list[Scene]:
    """One scene per number in `NUMBERS`; samples differ in vessels, bubbles, tissue and noise."""
    base = preset("mouse-brain-15MHz")
    return [
        make_scene(
            base.replace(
                name=f"validation-{n}",
                n_frames=frames,
                seed=VALIDATION_SEED + 100 * sample + k,
                bubbles=base.bubbles.replace(n_bubbles=n),
            )
        )
        for k, n in enumerate(NUMBERS)
    ]


def score(scene: Scene, found: Localizations, tracks: Tracks) -> Scores:
    """Scores of a whole scene."""
    acquisition = scene.acquisition
    return evaluate(
        found,
        tracks,
        scene.truth,
        acquisition.grid,
        acquisition.wavelength_um,
        EvaluateConfig(),
        frames=(0, acquisition.n_frames),
    )


def three_scores(
    scenes: Sequence[Scene], found: Sequence[Localizations], config: LinkConfig
) -> NDArray[np.float64]:
    """(3, scenes): Jaccard index, that of tracked positions, and Dice, linked with `config`."""
    rows = []
    for scene, part in zip(scenes, found, strict=True):
        scores = score(scene, part, link(part, scene.acquisition.rate_hz, config))
        rows.append((scores.localization.jaccard, scores.tracked.jaccard, scores.map.dice))
    return np.array(rows).T


def with_first(config: PipelineConfig, first: int) -> PipelineConfig:
    """The settings with another first singular component kept."""
    clutter = config.clutter
    return config.replace(
        clutter=clutter.replace(svd_range=(first, (clutter.svd_range or (12, 200))[1]))
    )


def with_localizer(config: PipelineConfig, localizer: str) -> PipelineConfig:
    """The settings with another localizer."""
    return config.replace(localize=config.localize.replace(localizer=localizer))


def above(found: Localizations, least: float) -> Localizations:
    """Localizations with at least a given score."""
    return Localizations(found.table[found.table["score"] >= least].reset_index(drop=True))
