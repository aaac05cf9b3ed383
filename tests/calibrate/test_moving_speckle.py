"""Defaults on an acquisition that the package's simulator did not make, at several samplings."""

from __future__ import annotations

import pytest
from moving_speckle import WIDTH_UM, moving_speckle

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import EvaluateConfig, Scores, Truth, evaluate
from napari_ulm3d.filtering import tissue_cut
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


@pytest.mark.parametrize(
    "settings",
    [
        ("localize.localizer=gaussian",),
        pytest.param(("localize.localizer=radial",), marks=pytest.mark.slow),
        pytest.param(("localize.localizer=parabolic",), marks=pytest.mark.slow),
        pytest.param(("localize.localizer=gaussian", "psf.source=data"), marks=pytest.mark.slow),
        pytest.param(("localize.localizer=network",), marks=pytest.mark.slow),
    ],
)
def test_defaults_find_the_bubbles(fine: Scene, settings: tuple[str, ...]) -> None:
    found, scored = scores(fine, *settings)
    print(
        settings,
        scored.localization.precision,
        scored.localization.recall,
        scored.localization.rmse_um,
    )
    assert scored.localization.precision > 0.8
    assert scored.localization.recall > 0.7
    assert not found.report.verdict


@pytest.mark.slow
@pytest.mark.parametrize("step_um", [20.0, 50.0, 80.0])
def test_the_sampling_does_not_matter(step_um: float) -> None:
    _, scored = scores(moving_speckle(step_um), "localize.localizer=gaussian")
    print(
        step_um, scored.localization.precision, scored.localization.recall, scored.tracked.jaccard
    )
    assert scored.tracked.jaccard > 0.6


@pytest.mark.slow
def test_the_cut_is_nearly_the_best_there_is() -> None:
    """Not all of the block, as the similarity of spatial vectors says of finely sampled speckle."""
    scene = moving_speckle(25.0, seed=2)
    chosen = tissue_cut(scene[0].read(0, 120)).first
    by_hand = {
        first: scores(scene, f"clutter.svd_range={first},120")[1].tracked.jaccard
        for first in (2, 4, 6, 8, 12, 16, 24)
    }
    own = scores(scene)[1].tracked.jaccard
    print(chosen, own, by_hand)
    assert own > 0.9 * max(by_hand.values())


def test_widths_are_those_of_the_scene(fine: Scene) -> None:
    from napari_ulm3d.calibrate import calibrate

    found = calibrate(fine[0], PipelineConfig())
    assert found.fwhm_um[0] == pytest.approx(WIDTH_UM[0], rel=0.15)
    assert found.fwhm_um[2] == pytest.approx(WIDTH_UM[1], rel=0.15)
