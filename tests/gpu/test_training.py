"""Training as on a GPU: scenes from other processes, products in 16 bits, weights after minutes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.networks import build
from napari_ulm3d.networks.bubblenet_input import collate
from napari_ulm3d.networks.weights import read_card
from napari_ulm3d.train.bubbles.task import BubbleTask
from napari_ulm3d.train.config import TrainConfig
from napari_ulm3d.train.gradients import batch_gradient, mixed_precision
from napari_ulm3d.train.loop import simulated, train
from napari_ulm3d.train.stream import BatchStream

SETTINGS = {
    "steps": 8,
    "batch_windows": 1,
    "device": "cpu",
    "log_steps": 1,
    "network": {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8},
    "data": {
        "scenes_per_group": 2,
        "scene_frames": 24,
        "windows_per_scene": 1,
        "window_frames": 6,
    },
    "validation": {"bubbles": (3,), "shape": (14, 12, 12), "scene_frames": 24, "frames": 6},
}


def numbered(seed: int) -> list[int]:
    return [10 * seed, 10 * seed + 1]


@pytest.mark.long
@pytest.mark.slow
def test_processes_give_the_batches_of_threads() -> None:
    config = TrainConfig.from_dict(
        {
            "steps": 12,
            "batch_windows": 2,
            "data": {"scenes_per_group": 2, "windows_per_scene": 2, "window_frames": 2},
        }
    )
    with BatchStream(config, numbered) as stream:
        wanted = [stream.batch(step) for step in range(6)]
    with BatchStream(config, numbered, processes=3) as stream:
        assert [stream.batch(step) for step in range(6)] == wanted


@pytest.mark.slow
def test_a_scene_is_the_same_wherever_it_is_made() -> None:
    config = TrainConfig.from_dict(SETTINGS)
    here = BubbleTask(config).windows(3)
    with BatchStream(config, partial(simulated, config), processes=1) as stream:
        stream._ask(1)
        (there, *_) = (scene.result() for scene in stream._groups[1])
    assert len(here) == len(there)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_array_equal(a.block.coordinates, b.block.coordinates)


def test_half_precision_is_asked_for_where_it_serves() -> None:
    with mixed_precision("auto", "cpu"):
        assert not torch.is_autocast_enabled("cpu")
    with mixed_precision("half", "cpu"):
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")
    with mixed_precision("full", "cuda"):
        assert not torch.is_autocast_enabled("cuda")


def test_places_keep_their_32_bits_in_half_precision() -> None:
    torch.manual_seed(0)
    network = build("BubbleNet", {"stem": 4, "channels": [8, 12], "blocks": 1, "head": 16}).eval()
    x = collate([random_block((5, 9, 8, 7), 0.1)])
    with torch.inference_mode():
        full = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x)
    assert half.offset.dtype == torch.float32
    assert not torch.equal(half.offset, full.offset)
    assert (half.offset - full.offset).abs().max() < 0.05 * full.offset.abs().max() + 0.02


class _Task:
    """A task of numbers, to see how its loss is computed."""

    def __init__(self, precision: str) -> None:
        self.config = TrainConfig.from_dict({"precision": precision})
        self.seen: list[torch.dtype] = []

    def shares(self, windows):
        return None

    def loss(self, model, windows, step, device):
        from napari_ulm3d.train.task import Loss

        out = model(torch.ones(2, 4))
        self.seen.append(out.dtype)
        return Loss(out.float().sum(), {})


def test_gradients_are_of_32_bits() -> None:
    model = torch.nn.Linear(4, 3)
    for precision, wanted in (("full", torch.float32), ("half", torch.bfloat16)):
        task = _Task(precision)
        batch_gradient(task, model, [0], 0, "cpu")
        assert task.seen == [wanted]
        assert model.weight.grad.dtype == torch.float32


@pytest.mark.slow
def test_a_training_of_seconds_leaves_weights_and_a_card(tmp_path) -> None:
    config = TrainConfig.from_dict(SETTINGS)
    state = train(config, tmp_path / "out", max_minutes=0.0, say=lambda line: None)
    assert state.step == 1
    card = read_card(tmp_path / "out" / "bubblenet.safetensors")
    assert card.steps == 1
    assert "score" in card.scores
