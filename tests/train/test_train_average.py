"""Weights averaged over trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks import build
from napari_ulm3d.networks.weights import load_network, read_card, save_weights
from napari_ulm3d.train.average import average_weights, main

SIZE = {"stem": 2, "channels": [4, 6], "blocks": 1, "head": 8}


def made(path: Path, seed: int, **size) -> Path:
    torch.manual_seed(seed)
    save_weights(path, build("BubbleNet", SIZE | size), name=f"part {seed}", steps=10, hours=0.5)
    return path


def test_the_mean_of_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [made(tmp_path / f"{seed}.safetensors", seed) for seed in range(3)]
    out = tmp_path / "mean.safetensors"
    assert main([str(out), *map(str, files)]) == 0
    assert "mean of 3" in capsys.readouterr().out
    tensors = [load_file(file) for file in files]
    for name, value in load_file(out).items():
        expected = np.mean([part[name].numpy() for part in tensors], axis=0)
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-7)
    card = read_card(out)
    assert (card.steps, card.hours, card.name) == (30, 1.5, "part 0")
    assert [part["name"] for part in card.data["average_of"]] == ["part 0", "part 1", "part 2"]
    load_network(out)  # the hash fits


def test_unlike_networks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = made(tmp_path / "one.safetensors", 0)
    other = made(tmp_path / "other.safetensors", 1, head=4)
    with pytest.raises(
        ConfigError, match=r"other\.safetensors and one\.safetensors are different networks"
    ):
        average_weights([one, other], tmp_path / "out.safetensors")
    with pytest.raises(ConfigError, match="two weights files"):
        average_weights([one], tmp_path / "out.safetensors")
    assert main([str(tmp_path / "out.safetensors"), str(one), str(other)]) == 2
    assert "different networks" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
    assert main([]) == 2
