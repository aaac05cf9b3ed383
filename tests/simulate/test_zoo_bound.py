"""The Cramer-Rao bound that the zoo divides errors by, against its closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.scenes import Scene
from benchmarks.zoo.bound import isolated_bubbles
from benchmarks.zoo.prepared import Prepared
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import calibrate
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import Truth
from napari_ulm3d.pipeline.plan import BlockPlan

WIDTHS = np.array([3.0, 3.6, 3.6])
SPACING_UM = (50.0, 60.0, 60.0)
SHAPE = (24, 24, 24)
LEVEL, NOISE = 5.0, 0.1


def scene_and_plan(carrier_rad: float) -> tuple[Scene, Prepared]:
    """One bubble a frame at the middle of the volume, in white noise, and nothing filtered."""
    rng = np.random.default_rng(1)
    at = np.array([11.3, 12.1, 11.8])
    axes = [
        np.exp(-4 * np.log(2) * ((np.arange(n) - p) / w) ** 2)
        for n, p, w in zip(SHAPE, at, WIDTHS, strict=True)
    ]
    bubble = LEVEL * np.einsum("z,y,x->zyx", *axes).astype(np.complex128)
    bubble *= np.exp(1j * carrier_rad * (np.arange(SHAPE[0]) - at[0]))[:, None, None]
    noise = rng.normal(size=(2, 20, *SHAPE)) * NOISE / np.sqrt(2)
    frames = (bubble + noise[0] + 1j * noise[1]).astype(np.complex64)
    acquisition = Acquisition.from_array(frames, SPACING_UM, 500.0, wavelength_um=100.0)
    z, y, x = acquisition.grid.to_um(at)
    table = pd.DataFrame({"frame": range(20), "bubble_id": 0, "z_um": z, "y_um": y, "x_um": x})
    scene = Scene("one", acquisition, Truth(table))
    widths = ",".join(str(w) for w in WIDTHS)
    config = PipelineConfig().with_settings(
        ["clutter.method=none", f"psf.fwhm_voxels={widths}", "calibrate.thinning=1,1,1"]
    )
    calibration = calibrate(acquisition, config)
    plan = BlockPlan(acquisition, config, calibration.psf, (), calibration)
    return scene, Prepared(scene, plan)


@pytest.mark.parametrize("carrier_rad", [0.0, 1.3])
def test_the_bound_is_that_of_a_gaussian_in_white_noise(carrier_rad: float) -> None:
    """sigma^2 / (2 a^2 sum |dh|^2) along each axis: an unknown phase takes the carrier's part away."""
    scene, prepared = scene_and_plan(carrier_rad)
    found = isolated_bubbles(scene, prepared)
    assert found.alone.all()
    rate = 4 * np.log(2) / WIDTHS**2
    # A Gaussian h sampled finely: sum h^2 is the product of sqrt(pi / 2 r); sum |dh|^2 is r of it.
    energy = np.prod(np.sqrt(np.pi / (2 * rate)))
    variance = NOISE**2 / (2 * LEVEL**2 * rate * energy) * np.square(SPACING_UM)
    assert np.median(found.bound_um) == pytest.approx(np.sqrt(variance.sum()), rel=0.03)


def test_bubbles_that_are_near_each_other_have_no_bound() -> None:
    scene, prepared = scene_and_plan(0.0)
    table = scene.truth.table
    other = table.assign(bubble_id=1, x_um=table["x_um"] + 150.0)
    two = Scene("two", scene.acquisition, Truth(pd.concat([table, other], ignore_index=True)))
    assert not isolated_bubbles(two, prepared).alone.any()
