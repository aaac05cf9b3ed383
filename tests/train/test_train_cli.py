"""The command, from settings to weights, on small simulated scenes."""

from __future__ import annotations

import pytest
import torch
import typer
from typer.testing import CliRunner

from napari_ulm3d.cli.train import train
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.weights import read_card

SETTINGS = """
name = "small"
steps = 3
batch_windows = 2
log_steps = 1
device = "cpu"

[network]
stem = 2
channels = [6, 8]
blocks = 1
head = 8

[data]
scene_frames = 30
clutter.svd_range = [6, 30]
window_frames = 8
windows_per_scene = 2
scenes_per_group = 2
max_voxels = 600

[data.random]
base.grid.shape = [16, 14, 14]
n_bubbles = [10, 15]

[validation]
scene_frames = 40
frames = 4
bubbles = [10]
every_steps = 3
"""


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread: with such small tensors, threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def command():
    app = typer.Typer()
    app.command()(train)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_train_then_resume(command, tmp_path):
    settings, out = tmp_path / "small.toml", tmp_path / "out"
    settings.write_text(SETTINGS.replace("svd_range = [6, 30]", "svd_range = [6, 200]"))
    first = command(settings, "--out", out, "--minutes", 0)
    assert first.exit_code == 0, first.output
    assert "continue with --resume" in first.output
    then = command(settings, "--out", out, "--resume")
    assert then.exit_code == 0, then.output
    assert "step 3 of 3" in then.output
    card = read_card(out / "small.safetensors")
    assert card.architecture == "BubbleNet"
    assert card.config["channels"] == [6, 8]
    assert {"score", "jaccard_10", "recall_10"} <= card.scores.keys()


def test_unknown_settings_are_refused(command, tmp_path):
    settings = tmp_path / "bad.toml"
    settings.write_text(SETTINGS.replace("stem", "stalk"))
    result = command(settings, "--out", tmp_path / "out")
    assert isinstance(result.exception, ConfigError)
    assert "stalk" in str(result.exception)
