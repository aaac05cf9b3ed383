"""Finding weights by name or file, and loading them once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.networks import build, save_weights, weights
from napari_ulm3d.networks.shipped import find_weights, load_weights


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one shipped network."""
    folder = tmp_path / "package"
    save_weights(folder / "mask.safetensors", build("MaskCNN"), name="mask", steps=12)
    monkeypatch.setattr(weights, "_FOLDER", folder)
    return folder / "mask.safetensors"


def test_a_name_a_file_and_the_default(shipped: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    save_weights(mine, build("MaskCNN"))
    assert find_weights(None, "mask") == shipped
    assert find_weights("mask", "bubblenet") == shipped
    assert find_weights(str(mine), "mask") == mine


def test_what_is_not_there_is_said_with_the_way_out(shipped: Path) -> None:
    with pytest.raises(ConfigError, match=r"no weights 'bubblenet'.*it has mask.*train"):
        find_weights(None, "bubblenet")
    with pytest.raises(ConfigError, match="no weights 'bubble'"):
        find_weights("bubble", "mask")
    with pytest.raises(InputError, match="is not a file"):
        find_weights("folder/bubble.safetensors", "mask")


def test_it_is_loaded_once_until_the_file_changes(shipped: Path) -> None:
    first = load_weights(shipped, ("MaskCNN",))
    assert load_weights(shipped, ("MaskCNN",)).network is first.network
    assert not first.network.training
    assert first.facts()["sha256"] == first.sha256
    torch.manual_seed(3)
    save_weights(shipped, build("MaskCNN"))
    second = load_weights(shipped, ("MaskCNN",))
    assert second.network is not first.network
    assert second.sha256 != first.sha256


def test_another_network_is_refused(shipped: Path) -> None:
    with pytest.raises(InputError, match="contains weights of MaskCNN, but BubbleNet is needed"):
        load_weights(shipped, ("BubbleNet",))


def test_doctor_lists_what_is_shipped(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_ulm3d.cli.doctor import doctor

    doctor()
    assert "mask (MaskCNN, 0.0 MB, trained for 12 steps)" in " ".join(
        capsys.readouterr().out.split()
    )
