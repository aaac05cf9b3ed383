"""What a run says that a person could try next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import RunReport, run
from napari_ulm3d.pipeline.advice.hints import hints

GOOD = RunReport(100, 5_000, 400, 9_000, 1.0, 100.0, None, 20.0, 0.1, {})
CONFIG = PipelineConfig()


def said(report: RunReport, kept: float | None = None, rate_hz: float = 500.0) -> str:
    frames = np.zeros((2, 4, 4, 4), np.complex64)
    acquisition = Acquisition.from_array(frames, (100.0, 100.0, 100.0), rate_hz)
    return " ".join(hints(report, kept, acquisition, CONFIG))


def test_a_good_run_says_nothing() -> None:
    assert said(GOOD, kept=0.05) == ""


@pytest.mark.parametrize(
    ("report", "kept", "rate_hz", "setting"),
    [
        (replace(GOOD, rejected={"over_cap": 900}), None, 500.0, "localize.max_bubbles"),
        (GOOD, 0.6, 500.0, "sparsify.threshold"),
        (replace(GOOD, n_tracks=7), None, 500.0, "7 tracks are too few"),
        (GOOD, None, 30.0, "10.0 voxels per frame"),
    ],
)
def test_each_cause_names_what_to_try(
    report: RunReport, kept: float | None, rate_hz: float, setting: str
) -> None:
    assert setting in said(report, kept, rate_hz)


def test_a_run_carries_its_hints(flow) -> None:
    config = CONFIG.with_settings(["clutter.svd_range=2,200", "maps.resolution_factor=3"])
    report = run(flow.acquisition, config).report
    assert any("too few" in sentence for sentence in report.hints)
    assert set(report.hints) <= set(report.advised())
    assert report.to_dict()["hints"] == list(report.hints)
    assert "hints" not in GOOD.to_dict()
