"""Starting a training from existing weights."""

from __future__ import annotations

import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.bubblenet_input import collate
from napari_ulm3d.networks.weights import save_weights
from napari_ulm3d.train.config import TrainConfig
from napari_ulm3d.train.loop import new_state
from napari_ulm3d.train.registry import make_task

SMALL = {"stem": 2, "channels": [4], "blocks": 1, "head": 4}


def settings(**changes) -> TrainConfig:
    return TrainConfig.from_dict({"network": SMALL, "device": "cpu", **changes})


def test_training_starts_from_the_weights_named(tmp_path):
    first = new_state(make_task(settings(seed=3)))
    path = tmp_path / "first.safetensors"
    save_weights(path, first.model, name="first")
    second = new_state(make_task(settings(seed=4, start=str(path))))
    for state in (second.model.state_dict(), second.average.state_dict()):
        for name, value in first.model.state_dict().items():
            assert torch.equal(state[name], value)
    # The network is a copy: training does not affect others who loaded the file.
    with torch.no_grad():
        next(second.model.parameters()).add_(1)
    third = new_state(make_task(settings(seed=4, start=str(path))))
    assert torch.equal(next(third.model.parameters()), next(first.model.parameters()))


def test_weights_of_other_sizes_are_refused(tmp_path):
    path = tmp_path / "first.safetensors"
    save_weights(path, new_state(make_task(settings())).model)
    with pytest.raises(ConfigError, match="other sizes"):
        new_state(make_task(settings(network={**SMALL, "head": 8}, start=str(path))))
    with pytest.raises(ConfigError, match="no weights"):
        new_state(make_task(settings(start="nothing-of-that-name")))


def test_kernels_longer_in_time_change_nothing_at_first(tmp_path):
    path = tmp_path / "first.safetensors"
    first = new_state(make_task(settings(seed=3)))
    save_weights(path, first.model)
    longer = settings(seed=4, start=str(path), network={**SMALL, "time_kernel": 7})
    second = new_state(make_task(longer))
    for name, value in second.model.state_dict().items():
        middle = value[:, 2:-2] if value.shape != first.model.state_dict()[name].shape else value
        assert torch.equal(middle, first.model.state_dict()[name])
    window = collate([random_block((9, 6, 5, 4), 0.4)])
    with torch.no_grad():
        said, wanted = second.model(window), first.model(window)
    assert wanted.offset.std() > 0
    for name in ("logit", "offset", "log_sigma", "velocity", "level"):
        torch.testing.assert_close(getattr(said, name), getattr(wanted, name))
    # Shorter kernels would discard weights.
    save_weights(path, second.model)
    with pytest.raises(ConfigError, match="other sizes"):
        new_state(make_task(settings(start=str(path))))


def test_more_bubbles_per_voxel_and_moving_levels_change_nothing_at_first(tmp_path):
    path = tmp_path / "first.safetensors"
    first = new_state(make_task(settings(seed=3)))
    save_weights(path, first.model)
    larger = settings(
        seed=4, start=str(path), network={**SMALL, "per_voxel": 2, "moving_levels": 1}
    )
    second = new_state(make_task(larger))
    window = collate([random_block((9, 6, 5, 4), 0.4)])
    with torch.no_grad():
        said, wanted = second.model(window), first.model(window)
    for name in ("logit", "offset", "log_sigma", "velocity", "level"):
        torch.testing.assert_close(getattr(said, name)[0::2], getattr(wanted, name))
    # Second bubbles are at first hardly believed in.
    assert said.logit[1::2].sigmoid().max() < 0.02
    save_weights(path, second.model)
    for fewer in ({"per_voxel": 2}, {"moving_levels": 1}):
        with pytest.raises(ConfigError, match="other sizes"):
            new_state(make_task(settings(start=str(path), network={**SMALL, **fewer})))
