"""The learned strategy: the voxels of the mask network, however the block is divided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.networks import build, save_weights
from napari_ulm3d.sparsify import sparsify, sparsify_block


def frames_of(shape=(29, 6, 5, 7)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(*shape, 2)) @ [1, 1j]).astype(np.complex64)


def pair_of(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([frames.real, frames.imag]))[None]


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(2)
    net = build("MaskCNN", {"channels": 4}).eval()
    with torch.no_grad():
        net.output.bias -= net(pair_of(frames_of())).median()  # half of the voxels
    return net


@pytest.fixture
def config(net, tmp_path: Path) -> SparsifyConfig:
    save_weights(tmp_path / "mask.safetensors", net)
    return SparsifyConfig(strategy="learned", weights=str(tmp_path / "mask.safetensors"))


@pytest.mark.parametrize("n_frames", [1, 5, 8, 9, 29])
def test_it_keeps_what_the_network_keeps_on_the_whole_block(net, config, n_frames: int) -> None:
    frames = frames_of()[:n_frames]
    kept = sparsify(frames, config, 40)
    with torch.no_grad():
        logits = net(pair_of(frames))[0].numpy()
    sure = np.abs(logits) > 1e-4
    found = np.zeros(frames.shape, bool)
    found[tuple(kept.coordinates.T)] = True
    np.testing.assert_array_equal(found[sure], logits[sure] > 0)
    assert 0 < len(kept) < frames.size
    np.testing.assert_array_equal(kept.values, frames[tuple(kept.coordinates.T)])
    assert kept.first_frame == 40


@pytest.mark.parametrize("size", [1, 4, 11])
def test_the_cut_into_chunks_changes_nothing(config, size: int) -> None:
    frames = frames_of()
    buffer = np.empty_like(frames[:size])

    def chunks():
        for start in range(0, len(frames), size):  # one buffer, written anew each time
            part = frames[start : start + size]
            buffer[: len(part)] = part
            yield buffer[: len(part)]

    whole, cut = sparsify(frames, config), sparsify_block(chunks(), config)
    np.testing.assert_array_equal(whole.coordinates, cut.coordinates)
    np.testing.assert_array_equal(whole.values, cut.values)
    assert whole.shape == cut.shape


def test_envelopes_and_two_dimensions(config) -> None:
    kept = sparsify(np.abs(frames_of((6, 9, 1, 8))).astype(np.float32), config)
    assert kept.shape == (6, 9, 1, 8)
    assert (kept.values.imag == 0).all()


def test_without_weights_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_ulm3d.networks import weights

    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    with pytest.raises(ConfigError, match="There are no weights 'mask'"):
        sparsify(frames_of(), SparsifyConfig(strategy="learned"))
    save_weights(tmp_path / "bubblenet.safetensors", build("BubbleNet", {"channels": (4,)}))
    with pytest.raises(InputError, match="MaskCNN is needed"):
        sparsify(frames_of(), SparsifyConfig(strategy="learned", weights="bubblenet"))
