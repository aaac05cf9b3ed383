"""Simulated scenes with their truth, for the benchmarks of localizers."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LinkConfig
from napari_ulm3d.evaluate import EvaluateConfig, Scores, Truth, evaluate
from napari_ulm3d.link import link
from napari_ulm3d.simulate import preset, simulate
from napari_ulm3d.simulate.config import SimulationConfig
from napari_ulm3d.tables import Localizations, Tracks

VALIDATION_SEED = 8_000_010_000
"""First seed of what is chosen by: of neither training nor test, nor the training's own validation."""
NUMBERS = (10, 40, 160)
"""Bubbles in view of the validation scenes, as in the standard sets."""


@dataclass(frozen=True)
class Scene:
    """Frames in memory with their truth."""

    name: str
    acquisition: Acquisition
    truth: Truth


def make_scene(settings: SimulationConfig) -> Scene:
    """Simulate all frames, so that a run's time is the run's own."""
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
    """A scene of each of `NUMBERS`; another sample has other vessels, bubbles, tissue and noise."""
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


def score(scene: Scene, found: Localizations, tracks: Tracks | None = None) -> Scores:
    """Scores of a whole scene; tracks, when not given, are linked with default settings."""
    acquisition = scene.acquisition
    if tracks is None:
        tracks = link(found, acquisition.rate_hz, LinkConfig())
    return evaluate(
        found,
        tracks,
        scene.truth,
        acquisition.grid,
        acquisition.wavelength_um,
        EvaluateConfig(),
        frames=(0, acquisition.n_frames),
    )


def above(found: Localizations, least: float) -> Localizations:
    """Those of at least some score."""
    return Localizations(found.table[found.table["score"] >= least].reset_index(drop=True))
