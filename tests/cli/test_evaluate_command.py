"""`evaluate` without a ground truth: the quality measures stored with a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.cli.app import app
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    n, shape = 40, (14, 12, 12)
    index = np.indices(shape)
    frames = 0.02 * (rng.normal(size=(n, *shape, 2)) @ [1, 1j])
    for start, pace in (((2, 3, 4), (0.2, 0.1, 0.0)), ((10, 8, 3), (-0.2, 0.0, 0.15))):
        for k in range(n):
            place = np.add(start, np.multiply(pace, k))
            far = ((index - place[:, None, None, None]) ** 2).sum(axis=0)
            frames[k] += np.exp(-far / 3)
    acquisition = Acquisition.from_array(
        frames.astype(np.complex64), (100, 100, 100), 260.0, wavelength_um=100
    )
    out = tmp_path_factory.mktemp("run") / "results"
    config = PipelineConfig().with_settings(["clutter.svd_range=1,40", "link.min_length_frames=5"])
    assert run(acquisition, config, out).report.n_tracks
    return out


def test_without_a_truth_the_run_speaks_for_itself(folder: Path) -> None:
    before = {path.name for path in folder.iterdir()}
    result = CliRunner().invoke(app, ["evaluate", str(folder)])
    assert result.exit_code == 0, result.output
    for said in (
        "tracks by chance",
        "shortest track",
        "5 frames",
        "saturation",
        "permuted",
        "speed known",
    ):
        assert said in result.output
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.slow
def test_the_report_has_the_evidence(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    result = CliRunner().invoke(app, ["report", str(folder), "--to", str(target)])
    assert result.exit_code == 0, result.output
    page = target.read_text(encoding="utf-8")
    section = page[page.index("<h2>Evidence</h2>") : page.index("<h2>Acquisition</h2>")]
    assert "speed known to 20%" in section
    assert "Acquire for longer" in section
    assert section.count("<img") >= 1


def test_a_run_that_is_not_finished_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "run.toml").read_text(encoding="utf-8")
    (tmp_path / "run.toml").write_text(
        text.replace("complete = true", "complete = false"), encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path)])
    assert result.exit_code != 0
