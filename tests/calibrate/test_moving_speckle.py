"""Defaults on a finely sampled acquisition that the package's simulator did not make."""

from __future__ import annotations

import pytest
from moving_speckle import WIDTH_UM, moving_speckle

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import calibrate
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import EvaluateConfig, Scores, Truth, evaluate
from napari_ulm3d.pipeline import Run, run

Scene = tuple[Acquisition, Truth]


@pytest.fixture(scope="module")
def fine() -> Scene:
    """A fifth of a wavelength; a width along x is eleven voxels."""
    return moving_speckle(20.0)


def scores(scene: Scene, *settings: str) -> tuple[Run, Scores]:
    acquisition, truth = scene
    config = PipelineConfig(device="cpu").with_settings(["maps.fsc=false", *settings])
    found = run(acquisition, config)
    frames = (0, acquisition.n_frames)
    tolerance = EvaluateConfig(pair_um=100, hit_um=100)
    grid, wave = acquisition.grid, acquisition.wavelength_um
    return found, evaluate(
        found.localizations, found.tracks, truth, grid, wave, tolerance, frames=frames
    )


@pytest.mark.slow
def test_defaults_find_the_bubbles(fine: Scene) -> None:
    found, scored = scores(fine, "localize.localizer=gaussian")
    assert scored.localization.precision > 0.8
    assert scored.localization.recall > 0.7
    assert not found.report.verdict


def test_widths_are_those_of_the_scene(fine: Scene) -> None:
    found = calibrate(fine[0], PipelineConfig())
    assert found.fwhm_um[0] == pytest.approx(WIDTH_UM[0], rel=0.15)
    assert found.fwhm_um[2] == pytest.approx(WIDTH_UM[1], rel=0.15)


def test_almost_four_voxels_per_width_are_thinned_to_two() -> None:
    """A width that is measured a little too narrow must not leave all voxels."""
    scene, _ = moving_speckle(WIDTH_UM[0] / 4, n_bubbles=8, n_frames=80, side_um=1800)
    assert calibrate(scene, PipelineConfig()).working.thinning[0] == 2


def test_one_bubble_is_enough() -> None:
    """One bubble is as few components as tissue: neither the cut nor the widths may lose it."""
    scene = moving_speckle(
        50.0, n_bubbles=1, noise_db=-15.0, tissue_db=25.0, n_frames=200, seed=300
    )
    measured = calibrate(scene[0], PipelineConfig(device="cpu"))
    z, _, x = measured.fwhm_um
    assert z == pytest.approx(WIDTH_UM[0], rel=1 / 3)
    assert x == pytest.approx(WIDTH_UM[1], rel=1 / 3)
    assert scores(scene)[1].tracked.jaccard > 0.7
