"""Runs that fit themselves to their data: finely sampled, given by hand, by a preset."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import calibrate
from napari_ulm3d.config import PipelineConfig, settings_preset
from napari_ulm3d.evaluate import EvaluateConfig, Truth, evaluate
from napari_ulm3d.pipeline import run
from napari_ulm3d.simulate import SimulationConfig, simulate


@pytest.fixture(scope="module")
def fine() -> tuple[Acquisition, Truth]:
    """Voxels of a quarter wavelength, tissue 20 dB over the bubbles."""
    wave = 98.56
    settings = SimulationConfig().replace(
        grid={"shape": (32, 32, 32), "voxel_um": (wave / 4,) * 3},
        psf={"fwhm_um": (1.2 * wave, 2.2 * wave, 2.2 * wave)},
        clutter={"level_db": 20.0},
        bubbles={"n_bubbles": 5},
        rate_hz=400.0,
        n_frames=100,
        seed=11,
    )
    simulation = simulate(settings)
    frames = simulation.acquisition.read(0, 100)
    acquisition = Acquisition.from_array(frames, (wave / 4,) * 3, 400.0, wavelength_um=wave)
    return acquisition, Truth(simulation.truth)


def test_finely_sampled_volumes_are_found_by_default(fine: tuple[Acquisition, Truth]) -> None:
    acquisition, truth = fine
    result = run(acquisition, PipelineConfig().with_settings(["maps.fsc=false"]))
    scores = evaluate(
        result.localizations,
        result.tracks,
        truth,
        acquisition.grid,
        acquisition.wavelength_um,
        EvaluateConfig(pair_um=100, hit_um=100),
        frames=(0, 100),
    )
    assert scores.localization.precision > 0.7
    assert scores.localization.recall > 0.5
    assert acquisition.grid.contains(result.localizations.positions_um).all()


def test_the_grid_is_thinned_and_what_is_given_is_obeyed(fine: tuple[Acquisition, Truth]) -> None:
    acquisition, _ = fine
    found = calibrate(acquisition, PipelineConfig())
    assert min(found.working.thinning) >= 2
    assert found.fwhm_um == pytest.approx((118, 217, 217), rel=0.2)
    given = PipelineConfig().with_settings(["psf.fwhm_voxels=6,8,12"])
    assert calibrate(acquisition, given).working.thinning == (3, 4, 6)
    for setting in ("localize.patch_voxels=9,9,9", "calibrate.thinning=1,1,1"):
        config = PipelineConfig().with_settings([setting])
        assert calibrate(acquisition, config).working.is_full
    preset = calibrate(acquisition, settings_preset("open-3dulm"))
    assert preset.working.is_full
    assert preset.psf.fwhm_voxels == (3, 3, 3)
    assert preset.svd_first == 12


@pytest.mark.parametrize("exponent", [-90, 90])
def test_extreme_amplitudes_calibrate_alike(fine: tuple[Acquisition, Truth], exponent: int) -> None:
    acquisition, _ = fine
    frames = acquisition.read(0, 60)
    made = [
        Acquisition.from_array(
            frames * np.float32(2.0**power), acquisition.grid.spacing_um, acquisition.rate_hz,
            wavelength_um=acquisition.wavelength_um,
        )
        for power in (0, exponent)
    ]  # fmt: skip
    usual, extreme = (calibrate(one, PipelineConfig()) for one in made)
    assert extreme.fwhm_um == pytest.approx(usual.fwhm_um, rel=1e-4)
    assert extreme.svd_first == usual.svd_first
    assert extreme.working.thinning == usual.working.thinning
