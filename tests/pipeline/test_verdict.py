"""What a run that found nothing, hardly anything or mostly noise says of itself."""

from __future__ import annotations

import re

import numpy as np
import pytest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.pipeline.advice import verdict


@pytest.mark.parametrize(
    ("found", "tracks", "share", "rejected", "settings", "said"),
    [
        (0, 0, None, {}, [], "clutter.svd_range=6,100"),
        (0, 0, None, {"faint": 900, "edge": 2}, [], "localize.min_fit_snr_db=12"),
        (0, 0, None, {"far": 9}, ["localize.fwhm_voxels=9,9,9"], "localize.fwhm_voxels=auto"),
        (0, 0, None, {}, ["localize.localizer=network"], "network.min_score=0.1"),
        (5, 0, None, {}, [], "link.max_gap_frames=2"),
        (900, 30, 0.8, {}, [], "localize.min_fit_snr_db=20"),
        (900, 30, 0.8, {}, ["localize.localizer=network"], "network.min_score=0.5"),
        (3, 1, 0.0, {}, [], "Very little"),
        (900, 30, 0.1, {}, [], None),
    ],
)
def test_one_sentence_with_the_setting_to_try(
    found: int,
    tracks: int,
    share: float | None,
    rejected: dict[str, int],
    settings: list[str],
    said: str | None,
) -> None:
    config = PipelineConfig().with_settings(settings)
    text = verdict(100, found, tracks, share, rejected, config, 2)
    if said is None:
        assert text == ""
        return
    assert said in text
    for setting in re.findall(r"\b\w+\.\w+=[\w.,]*\w", text):
        config.with_settings([setting])  # what is advised works when typed


def test_a_cut_that_takes_all_away_is_told() -> None:
    config = PipelineConfig().with_settings(["clutter.svd_range=90,100"])
    assert "clutter.svd_range=auto" in verdict(100, 0, 0, None, {}, config, 90)


def test_a_run_on_noise_says_that_nothing_was_found() -> None:
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((2, 40, 14, 12, 12)).astype(np.float32)
    acquisition = Acquisition.from_array(
        parts[0] + 1j * parts[1], (100, 100, 100), 260.0, wavelength_um=100
    )
    report = run(acquisition, PipelineConfig()).report
    assert report.n_tracks == 0
    assert report.verdict
    assert report.to_dict()["verdict"] == report.verdict
