"""Scores of a result on the zoo: at two radii, of tracks, error relative to the bound, speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import Scene
from benchmarks.zoo.bound import Isolated
from napari_ulm3d.evaluate import EvaluateConfig, Tolerances
from napari_ulm3d.evaluate.localization import LocalizationScores, score_localizations
from napari_ulm3d.evaluate.pairing import match
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["HEADER", "Figures", "Radii", "figures", "tracked_jaccard"]

HEADER = [
    "scene", "what", "precision", "recall", "Jaccard", "Jaccard, half", "tracked Jaccard",
    "error, um", "error / bound", "volumes/s", "settings",
]  # fmt: skip


@dataclass(frozen=True)
class Radii:
    """Scoring distances: from the wavelength, or a given one without margin."""

    match_um: float | None = None

    def tolerances(self, wavelength_um: float | None, fraction: float = 0.25) -> Tolerances:
        if self.match_um is not None:
            return Tolerances(self.match_um, self.match_um, 0.0)
        return EvaluateConfig(hit_fraction=fraction).tolerances(wavelength_um)


@dataclass(frozen=True)
class Figures:
    """Scores of one result.

    Attributes
    ----------
    found
        Scores of localizations, with hits within a quarter of the wavelength.
    half
        The same within half a wavelength.
    tracked
        Jaccard index of track positions, within a quarter.
    over_bound
        Ratio of the error for isolated bubbles to the Cramer-Rao bound, both RMS.
    volumes_per_s
        Frames of the acquisition divided by the time of the whole computation.
    """

    found: LocalizationScores
    half: LocalizationScores
    tracked: LocalizationScores
    over_bound: float
    volumes_per_s: float

    def row(self, scene: str, what: str, settings: str = "") -> list[str]:
        """A row of the table (`HEADER`)."""
        return [
            scene, what,
            f"{self.found.precision:.3f}", f"{self.found.recall:.3f}", f"{self.found.jaccard:.3f}",
            f"{self.half.jaccard:.3f}", f"{self.tracked.jaccard:.3f}",
            f"{self.found.rmse_um:.1f}", f"{self.over_bound:.1f}", f"{self.volumes_per_s:.0f}",
            settings,
        ]  # fmt: skip


def figures(
    scene: Scene,
    found: Localizations,
    tracks: Tracks,
    seconds: float,
    isolated: Isolated,
    radii: Radii,
) -> Figures:
    """Score localizations and tracks of a whole scene."""
    grid, wave = scene.acquisition.grid, scene.acquisition.wavelength_um
    quarter = radii.tolerances(wave)
    return Figures(
        found=score_localizations(found, scene.truth, grid, quarter),
        half=score_localizations(found, scene.truth, grid, radii.tolerances(wave, 0.5)),
        tracked=score_localizations(tracks, scene.truth, grid, quarter),
        over_bound=_over_bound(scene, found, isolated, quarter),
        volumes_per_s=scene.acquisition.n_frames / seconds if seconds else np.nan,
    )


def tracked_jaccard(scene: Scene, tracks: Tracks, radii: Radii) -> float:
    """Jaccard index of the tracks' positions; 0 without tracks."""
    wave = scene.acquisition.wavelength_um
    tolerances = radii.tolerances(wave)
    jaccard = score_localizations(tracks, scene.truth, scene.acquisition.grid, tolerances).jaccard
    return 0.0 if np.isnan(jaccard) else float(jaccard)


def _over_bound(
    scene: Scene, found: Localizations, isolated: Isolated, tolerances: Tolerances
) -> float:
    grid = scene.acquisition.grid
    pairs = match(found.frames, found.positions_um, scene.truth, grid, tolerances)
    paired = pairs.truth_row >= 0
    row, distance = pairs.truth_row[paired], pairs.distance_um[paired]
    some = isolated.alone[row] & np.isfinite(isolated.bound_um[row])
    if not some.any():
        return float("nan")
    bound = isolated.bound_um[row[some]]
    return float(np.sqrt(np.mean(distance[some] ** 2) / np.mean(bound**2)))
