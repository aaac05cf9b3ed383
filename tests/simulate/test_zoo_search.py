"""The zoo's search for the best settings: what it says is what a run with these settings gives."""

from __future__ import annotations

import pytest
from moving_speckle import moving_speckle

import benchmarks.zoo.search as search_module
from benchmarks.scenes import Scene, with_localizer
from benchmarks.zoo.figures import Radii, tracked_jaccard
from benchmarks.zoo.prepared import Prepared
from benchmarks.zoo.search import search
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run


def test_the_best_settings_score_as_the_search_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threshold is that of the fit's energy, not of the contrast in the table (`snr_db`)."""
    acquisition, truth = moving_speckle(40.0, n_frames=50, tissue_db=None, noise_db=-13.0)
    scene = Scene("bubbles in noise", acquisition, truth)
    config = with_localizer(PipelineConfig(device="cpu"), "gaussian")
    config = config.with_settings(["maps.fsc=false", "maps.confidence=none"])
    radii = Radii(60.0)
    monkeypatch.setattr(search_module, "_LEVELS_DB", (19.0,))
    best = search(scene, config, Prepared.of(scene, config), radii, (1,))
    assert best.tracked > 0.1
    result = run(acquisition, config.with_settings(list(best.settings)))
    assert tracked_jaccard(scene, result.tracks, radii) == pytest.approx(best.tracked, abs=1e-9)
