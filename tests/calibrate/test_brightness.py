"""Bubbles of an envelope are bright on noise, and bright or dark over tissue."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from moving_speckle import moving_speckle

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate import Calibration, calibrate, stage
from napari_ulm3d.calibrate.brightness import only_bright
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.evaluate import Truth, evaluate
from napari_ulm3d.filtering import correlation_map
from napari_ulm3d.pipeline import run

NETWORK = PipelineConfig().with_settings(
    ["localize.localizer=network", "maps.fsc=false", "maps.confidence=none", "device=cpu"]
)


@cache
def envelope(
    tissue_db: float | None, step_um: float = 40.0, seed: int = 0
) -> tuple[Acquisition, Truth]:
    made, truth = moving_speckle(
        step_um,
        n_frames=80,
        n_bubbles=8,
        side_um=1600,
        tissue_db=tissue_db,
        noise_db=-20.0,
        seed=seed,
    )
    frames = np.abs(made.read(0, made.n_frames)).astype(np.float32)
    acquisition = Acquisition.from_array(
        frames, made.grid.spacing_um, made.rate_hz, wavelength_um=made.wavelength_um
    )
    return acquisition, truth


def measured(tissue_db: float | None) -> Calibration:
    return calibrate(envelope(tissue_db)[0], NETWORK)


@pytest.mark.parametrize(("tissue_db", "bright"), [(None, True), (20.0, False)])
def test_the_envelope_says_whether_tissue_is_beneath(tissue_db, bright) -> None:
    found = measured(tissue_db)
    assert found.psf.bright_only is bright
    words = "brighter than" if bright else "brighter or darker"
    assert any(words in finding.value for finding in found.findings)


def test_noise_alone() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 20, 1, 20)) + 1j * rng.normal(size=(40, 20, 1, 20))
    assert only_bright(np.abs(noise).astype(np.float32))
    assert not only_bright(np.abs(30 + noise).astype(np.float32))
    assert not only_bright(noise.astype(np.complex64))
    assert not only_bright(np.zeros((4, 3, 3, 3), np.float32))
    valid = np.zeros((20, 1, 20), bool)
    assert not only_bright(np.abs(noise).astype(np.float32), valid)


def test_dark_spots_are_not_correlated() -> None:
    frames = envelope(None)[0].read(0, 20)
    frames -= frames.mean(axis=0)
    psf = measured(None).psf
    whole = correlation_map(frames, replace(psf, bright_only=False))
    assert whole.min() < -0.5
    np.testing.assert_array_equal(correlation_map(frames, psf), np.maximum(whole, 0))


@pytest.mark.slow
def test_the_network_does_not_take_dark_spots_for_bubbles(monkeypatch) -> None:
    acquisition, truth = envelope(None, 60.0, 2)

    def jaccard() -> float:
        found = run(acquisition, NETWORK)
        scores = evaluate(
            found.localizations, found.tracks, truth, acquisition.grid, acquisition.wavelength_um
        )
        return scores.localization.jaccard

    now = jaccard()
    monkeypatch.setattr(stage, "only_bright", lambda frames, valid: False)
    before = jaccard()
    assert now > 0.35
    assert now > before + 0.08
