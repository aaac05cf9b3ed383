"""Runs of volumes of which most voxels lie outside the field of view and hold nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import LocalizeConfig, PipelineConfig
from napari_ulm3d.localize import localize
from napari_ulm3d.pipeline import run
from napari_ulm3d.tables import Localizations

SHAPE = (28, 1, 40)
N_FRAMES = 120
SPACING = 50.0
FIELD = np.zeros(SHAPE, bool)
FIELD[5:24, :, 9:32] = True
DEEP = np.zeros(SHAPE, bool)
DEEP[8:21, :, 12:29] = True  # a width away from the field's border


def scene() -> NDArray[np.complex64]:
    """Tissue of four components, bubbles that cross at any height, noise of the receiver."""
    rng = np.random.default_rng(8)
    t = np.arange(N_FRAMES) / 300
    courses = np.stack([np.ones_like(t), np.sin(20 * t), np.cos(45 * t), np.sin(90 * t)])
    speckle = rng.standard_normal((2, 4, *SHAPE))
    weight = np.array([30, 12, 6, 3])[:, None, None, None]
    frames = np.einsum("kt,kzyx->tzyx", courses, weight * (speckle[0] + 1j * speckle[1]))
    frames = frames + 0.05 * (
        rng.standard_normal((2, *frames.shape)) * [[[[[1]]]], [[[[1j]]]]]
    ).sum(0)
    z, x = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[2])
    for k in range(8):
        speed, start = rng.uniform(0.15, 0.4) * (-1) ** k, rng.uniform(0, SHAPE[2])
        for frame in range(N_FRAMES):
            at = (start + speed * frame) % SHAPE[2]
            height = 2.3 + 3.3 * k
            spot = np.exp(-((z - height) ** 2 + (x - at) ** 2) / (2 * 1.1**2))
            frames[frame, :, 0] += spot * np.exp(1j * (k + 2 * (z - height) - 0.6 * frame))
    return frames.astype(np.complex64)


@pytest.fixture(scope="module")
def whole() -> NDArray[np.complex64]:
    return scene()


def found(frames: NDArray[np.complex64], *settings: str) -> Localizations:
    acquisition = Acquisition.from_array(frames, (SPACING,) * 3, 300.0, wavelength_um=100.0)
    config = PipelineConfig(device="cpu").with_settings(
        ["clutter.svd_range=5,120", "maps.fsc=false", *settings]
    )
    return run(acquisition, config).localizations


def where(localizations: Localizations, field: NDArray[np.bool_]) -> NDArray[np.bool_]:
    voxel = np.rint(localizations.positions_um / SPACING).astype(int)
    return np.asarray(field[*voxel.T])


@pytest.mark.parametrize("outside", [0.0, 7.0], ids=["zeros", "constant"])
@pytest.mark.parametrize(
    "localizer", ["gaussian", "radial", pytest.param("network", marks=pytest.mark.slow)]
)
def test_a_mask_takes_away_what_it_covers_and_nothing_else(
    whole: NDArray[np.complex64], localizer: str, outside: float
) -> None:
    assert FIELD.mean() < 0.4
    settings = (f"localize.localizer={localizer}", "psf.fwhm_voxels=2.6,2.6,2.6")
    full = found(whole, *settings)
    masked = found(np.where(FIELD, whole, np.complex64(outside)), *settings)
    assert where(masked, FIELD).all()
    expected, seen = full.table[where(full, DEEP)], masked.table[where(masked, DEEP)]
    assert len(expected) > 150
    columns = ["z_um", "y_um", "x_um"]
    # Frames far apart: a neighbour in space is one of the same frame.
    tree = cKDTree(np.column_stack([seen[columns], 1e6 * seen["frame"]]))
    distance, _ = tree.query(np.column_stack([expected[columns], 1e6 * expected["frame"]]))
    assert (distance < SPACING / 4).mean() > 0.95
    assert len(seen) < 1.05 * len(expected)


@pytest.mark.slow
def test_a_masked_run_with_nothing_set(whole: NDArray[np.complex64]) -> None:
    acquisition = Acquisition.from_array(
        np.where(FIELD, whole, np.complex64(0)), (SPACING,) * 3, 300.0, wavelength_um=100.0
    )
    for localizer in ("gaussian", "network"):
        config = PipelineConfig(device="cpu").with_settings([f"localize.localizer={localizer}"])
        result = run(acquisition, config)
        # About six of the eight are in the field of view, half of the time.
        assert 1 < len(result.localizations) / N_FRAMES < 6
        assert where(result.localizations, FIELD).all()
        assert result.report.chance_share is not None
        assert result.report.chance_share < 0.05


def test_the_background_of_an_envelope_is_that_of_the_field_of_view() -> None:
    """Outside, an envelope is zero; the median over all voxels would be as well."""
    rng = np.random.default_rng(4)
    z, x = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[2])
    spot = 9 * np.exp(-((z - 14.3) ** 2 + (x - 20.6) ** 2) / (2 * 1.1**2))
    whole = np.abs(rng.standard_normal((1, *SHAPE)) * 0.2 + 3.0 + spot[:, None, :])
    whole = whole.astype(np.float32)
    masked = np.where(FIELD, whole, 0).astype(np.float32)
    grid = Acquisition.from_array(whole, (SPACING,) * 3, 300.0).grid
    config = LocalizeConfig(
        localizer="gaussian", patch_voxels=(7, 7, 7), fwhm_voxels=(2.6, 2.6, 2.6), min_snr_db=6
    )
    true, told, untold = (
        localize(frames, grid, config, rate_hz=300.0, valid=valid).localizations.table.iloc[0]
        for frames, valid in ((whole, None), (masked, FIELD), (masked, None))
    )
    assert told[["z_um", "x_um"]].to_numpy(float) == pytest.approx(
        np.array([14.3, 20.6]) * SPACING, abs=0.1 * SPACING
    )
    assert told["snr_db"] == pytest.approx(true["snr_db"], abs=1)
    assert abs(untold["snr_db"] - true["snr_db"]) > 6
