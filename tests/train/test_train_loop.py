"""Training: it memorizes a window, resumes exactly, and avoids the test seeds."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError, InputError, ResultsError
from napari_ulm3d.localize.network import NetworkConfig, predict
from napari_ulm3d.networks.bubblenet_input import BubbleInput, bubble_input
from napari_ulm3d.networks.weights import load_network
from napari_ulm3d.simulate.standard import TEST_SEEDS
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.train.bubbles.targets import Bubbles, make_targets
from napari_ulm3d.train.bubbles.task import BubbleTask
from napari_ulm3d.train.bubbles.validate import ValidationScene
from napari_ulm3d.train.bubbles.windows import Scene, Window
from napari_ulm3d.train.config import TrainConfig
from napari_ulm3d.train.loop import learning_rate, new_state, train, train_step
from napari_ulm3d.train.stream import BatchStream

SHAPE = (6, 12, 12, 12)
TINY = {
    "steps": 6,
    "batch_windows": 1,
    "checkpoint_steps": 2,
    "log_steps": 1,
    "device": "cpu",
    "network": {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8},
    "data": {"scenes_per_group": 2, "windows_per_scene": 1, "window_frames": 6},
    "optimizer": {"warmup_steps": 2},
    "validation": {"every_steps": 4, "bubbles": (3,)},
}


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread: with such small tensors, threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny(**changes) -> TrainConfig:
    return TrainConfig.from_dict({**TINY, **changes})


def bubbles_and_voxels(seed: int, n_bubbles: int = 3) -> tuple[BubbleInput, Bubbles]:
    """Gaussian bubbles that move on straight lines, with a phase that changes with depth."""
    rng = np.random.default_rng(seed)
    start = np.array([[3, 3, 3], [8, 8, 3], [3, 8, 8]])[:n_bubbles] + rng.uniform(
        -0.5, 0.5, (n_bubbles, 3)
    )
    velocity = rng.uniform(-0.3, 0.3, (n_bubbles, 3))
    position = start + np.arange(SHAPE[0])[:, None, None] * velocity
    axes = np.indices(SHAPE[1:])
    frames = np.zeros(SHAPE, np.complex64)
    for t in range(SHAPE[0]):
        for place in position[t]:
            far = ((axes - place[:, None, None, None]) ** 2).sum(0)
            frames[t] += 10 * np.exp(-far / 1.4 - 3j * place[0])
    kept = SparseFrames.from_mask(frames / 10, np.abs(frames) > 3)
    block = bubble_input(frames, kept, fwhm_voxels=(2, 2, 2), carrier_rad=0.0, level=1.0)
    n = SHAPE[0] * n_bubbles
    true = Bubbles(
        np.repeat(np.arange(SHAPE[0]), n_bubbles),
        position.reshape(n, 3),
        np.tile(velocity, (SHAPE[0], 1)).astype(np.float32),
        np.ones(n, np.float32),
    )
    return block, true


def windows(seed: int) -> list[Window]:
    block, true = bubbles_and_voxels(seed)
    return [Window(block, make_targets(block.coordinates, block.shape, true))]


def scenes() -> list[ValidationScene]:
    block, true = bubbles_and_voxels(99)
    grid = Grid(SHAPE[1:], (100.0, 100.0, 100.0))
    return [ValidationScene(3, Scene(block, true, grid, 200.0, 200.0))]


def run(config, out, **more):
    more = {
        "task": BubbleTask(config, scenes()),
        "stream": BatchStream(config, windows),
        "say": lambda _: None,
    } | more
    return train(config, out, **more)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.slow
def test_a_window_is_learnt_by_heart():
    config = tiny(
        steps=150,
        optimizer={"warmup_steps": 5, "learning_rate": 0.01, "average": 0.5},
        network={"stem": 4, "channels": (8, 12), "blocks": 1, "head": 16},
    )
    task = BubbleTask(config)
    state = new_state(task)
    (window,) = windows(5)
    losses = [train_step(state, [window], task)["loss"] for _ in range(config.steps)]
    assert losses[-1] < losses[0] - 4
    _, true = bubbles_and_voxels(5)
    (found,) = predict(state.average, window.block, NetworkConfig(min_score=0.5))
    near = np.linalg.norm(found.position[:, None] - true.position, axis=2)
    near[found.frame[:, None] != true.frame] = np.inf
    assert (near.min(axis=0) < 0.4).mean() > 0.9
    assert (near.min(axis=1) < 0.4).mean() > 0.8


@pytest.mark.slow
def test_a_stopped_training_ends_as_one_that_was_not(tmp_path):
    config = tiny()
    whole = run(config, tmp_path / "whole")
    # Four steps, then a checkpoint, then the others in a new process' place.
    first = run(config, tmp_path / "parts", max_minutes=0.0)
    assert first.step == 1
    first = run(config, tmp_path / "parts", resume=True, max_minutes=0.0)
    parts = run(config, tmp_path / "parts", resume=True)
    assert parts.step == whole.step == 6
    for a, b in ((whole.model, parts.model), (whole.average, parts.average)):
        assert torch.equal(weights(a), weights(b))
    drop = {"seconds"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in whole.curve] == [
        {k: v for k, v in row.items() if k not in drop} for row in parts.curve
    ]
    assert whole.validations == parts.validations
    assert (whole.best_score, whole.best_step) == (parts.best_score, parts.best_step)


def test_what_a_training_leaves(tmp_path):
    config = tiny()
    lines: list[str] = []
    state = run(config, tmp_path / "out", say=lines.append)
    out = tmp_path / "out"
    with open(out / "curve.csv", newline="") as file:
        curve = list(csv.DictReader(file))
    assert [float(row["step"]) for row in curve] == [1, 2, 3, 4, 5, 6]
    assert float(curve[-1]["loss"]) == pytest.approx(state.curve[-1]["loss"])
    with open(out / "validation.csv", newline="") as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [4, 6]
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "log.txt").read_text().splitlines() == lines
    assert json.loads((out / "train.json").read_text()) == config.model_dump(mode="json")
    network, card = load_network(out / "bubblenet.safetensors")
    assert card.steps == state.best_step
    assert card.scores["score"] == state.best_score
    assert card.seed == config.seed
    assert card.data["data"]["first_seed"] == config.data.first_seed
    assert card.device == "cpu"
    for name, value in network.state_dict().items():
        assert torch.equal(value, state.best[name])


def test_a_training_is_not_written_over(tmp_path):
    config = tiny(steps=1)
    run(config, tmp_path / "out")
    with pytest.raises(ResultsError, match="--resume"):
        run(config, tmp_path / "out")


def test_other_settings_do_not_resume(tmp_path):
    run(tiny(steps=1), tmp_path / "out")
    with pytest.raises(ConfigError, match="seed"):
        run(tiny(steps=1, seed=3), tmp_path / "out", resume=True)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match="not a checkpoint"):
        run(tiny(), tmp_path / "out", resume=True)


def test_a_broken_checkpoint_is_refused(tmp_path):
    config = tiny(steps=1)
    run(config, tmp_path / "out")
    file = tmp_path / "out" / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match="not a complete checkpoint"):
        run(config, tmp_path / "out", resume=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": {"first_seed": TEST_SEEDS.start}},
        {"data": {"first_seed": TEST_SEEDS.start - 1}},
        {"data": {"first_seed": TEST_SEEDS.stop - 1}},
        {"validation": {"first_seed": TEST_SEEDS.start + 1}},
        {"data": {"first_seed": 8_000_000_000}},
    ],
)
def test_seeds_that_are_kept_for_others_are_refused(settings, tmp_path):
    with pytest.raises(ConfigError, match=r"[Ss]eed"):
        train(TrainConfig.from_dict(settings), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_batches_depend_on_the_step_alone():
    config = tiny(steps=20, data={"scenes_per_group": 3, "windows_per_scene": 1, "passes": 2})
    made: list[int] = []

    def make(seed: int) -> list[Window]:
        made.append(seed)
        return [Window(windows(seed)[0].block.window(0, 1), seed)]  # type: ignore[arg-type]

    with BatchStream(config, make) as stream:
        order = [stream.batch(step)[0].targets for step in range(12)]
    with BatchStream(config, make) as stream:
        assert [stream.batch(step)[0].targets for step in (11, 3, 7)] == [
            order[k] for k in (11, 3, 7)
        ]
    # Every pass uses the three scenes of a group, followed by the next three.
    assert [sorted(order[k : k + 3]) for k in (0, 3, 6, 9)] == [[1, 2, 3]] * 2 + [[4, 5, 6]] * 2


def test_learning_rate_warms_up_and_falls():
    config = tiny().optimizer.replace(learning_rate=1.0, warmup_steps=9)
    assert [learning_rate(k, 109, config) for k in (0, 4, 9, 59, 109)] == pytest.approx(
        [0.1, 0.5, 1.0, 0.505, 0.01]
    )
