"""The paper's networks and the mask network in the training loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.weights import load_network
from napari_ulm3d.simulate.standard import TEST_SEEDS
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.train.loop import new_state, train, train_step
from napari_ulm3d.train.mask.config import MaskTrainConfig
from napari_ulm3d.train.mask.task import MaskTask, MaskWindow, _mirrored
from napari_ulm3d.train.stream import BatchStream
from napari_ulm3d.train.trajectory.config import TrajectoryTrainConfig
from napari_ulm3d.train.trajectory.targets import Trajectories, trajectory_volume
from napari_ulm3d.train.trajectory.task import TrajectoryTask, predicted_volume
from napari_ulm3d.train.trajectory.windows import TrajectoryWindow, mirrored

FRAMES, SIDE = 8, 8
TINY_NETWORK = {
    "channels": 4,
    "input_kernel": 3,
    "convolutions": 1,
    "time_pools": (2, 2),
    "transition_pool": 2,
    "doublings": 2,
}
FLAT = {"random": {"base": {"grid": {"shape": (SIDE, 1, SIDE)}}}}


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread: with such small tensors, threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trajectory_config(preset: str = "sparse-2d-small", **changes) -> TrajectoryTrainConfig:
    flat = preset != "sparse-3d-small"
    data = {"scenes_per_group": 2, "windows_per_scene": 1, "window_frames": FRAMES}
    return TrajectoryTrainConfig.from_dict(
        {
            "preset": preset,
            "name": "tiny",
            "steps": 6,
            "batch_windows": 2,
            "checkpoint_steps": 2,
            "log_steps": 1,
            "device": "cpu",
            "network": TINY_NETWORK,
            "data": {**data, **(FLAT if flat else {})},
            "optimizer": {"warmup_steps": 2},
            "validation": {"every_steps": 3},
            **changes,
        }
    )


def window(seed: int, flat: bool = True) -> TrajectoryWindow:
    """One bubble on a straight line in weak noise, with the brightest voxels kept."""
    rng = np.random.default_rng(seed)
    space = np.array([SIDE, 1, SIDE] if flat else [SIDE] * 3)
    start = rng.uniform(0.3, 0.4, 3) * space
    place = start + np.arange(FRAMES)[:, None] * rng.uniform(0.2, 0.4, 3) * (space > 1)
    far = (np.indices(space)[None] + 0.5 - place[:, :, None, None, None]) ** 2
    frames = np.exp(-far.sum(1) / 2) + 0.05 * rng.normal(size=(FRAMES, *space))
    frames = frames.astype(np.complex64)
    axes = [0, 2] if flat else [0, 1, 2]
    points = np.column_stack([np.arange(FRAMES), place[:, axes]])
    shape = (FRAMES, *space[axes].tolist())
    kept = SparseFrames.from_mask(frames, np.abs(frames) > 0.3)
    return TrajectoryWindow(kept, Trajectories(points, shape))


def task_of(config: TrajectoryTrainConfig) -> TrajectoryTask:
    flat = config.network.space_axes == 2
    return TrajectoryTask(config, [(1, [window(90, flat), window(91, flat)])])


def run(config, out, **more):
    if isinstance(config, MaskTrainConfig):
        task, make = MaskTask(config, [(3, mask_window(99))]), lambda seed: [mask_window(seed)]
    else:
        flat = config.network.space_axes == 2
        task, make = task_of(config), lambda seed: [window(seed, flat)]
    stream = BatchStream(config, make)
    return train(config, out, task=task, stream=stream, say=lambda _: None, **more)


def mask_config(**changes) -> MaskTrainConfig:
    return MaskTrainConfig.from_dict(
        {
            "steps": 5,
            "batch_windows": 2,
            "log_steps": 1,
            "device": "cpu",
            "network": {"channels": 3},
            "data": {"scenes_per_group": 2, "windows_per_scene": 1, "window_frames": 4},
            "validation": {"every_steps": 3},
            **changes,
        }
    )


def mask_window(seed: int) -> MaskWindow:
    rng = np.random.default_rng(seed)
    frames = 0.1 * (rng.normal(size=(4, 6, 5, 5, 2)) @ [1, 1j])
    wanted = np.zeros(frames.shape, bool)
    z, y, x = rng.integers(0, 4, 3)
    wanted[:, z : z + 2, y : y + 2, x : x + 2] = True
    frames[wanted] += 1
    return MaskWindow(frames.astype(np.complex64), wanted)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


CASES = {
    "sparse 2-D": lambda: trajectory_config(),
    "sparse 3-D": lambda: trajectory_config("sparse-3d-small"),
    "dense 2-D": lambda: trajectory_config("dense-2d-small"),
    "cascade": lambda: trajectory_config(phase_steps=(2, 2)),
    "mask": mask_config,
}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_stopped_training_ends_as_one_that_was_not(case, tmp_path):
    config = CASES[case]()
    whole = run(config, tmp_path / "whole")
    run(config, tmp_path / "parts", max_minutes=0.0)
    # Stop in every step, so that one stop falls on each border between phases.
    for _ in range(config.steps - 2):
        run(config, tmp_path / "parts", resume=True, max_minutes=0.0)
    parts = run(config, tmp_path / "parts", resume=True)
    assert parts.step == whole.step == config.steps
    assert same(whole.model, parts.model)
    assert same(whole.average, parts.average)
    assert whole.validations == parts.validations
    assert whole.best_step == parts.best_step >= 0


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("preset", ["sparse-2d-small", "dense-2d-small"])
def test_a_window_is_learnt_by_heart(preset):
    config = trajectory_config(
        preset, steps=90, optimizer={"warmup_steps": 5, "learning_rate": 0.02, "average": 0.8}
    )
    task = task_of(config)
    state = new_state(task)
    one = window(5)
    for _ in range(config.steps):
        train_step(state, [one], task)
    found = predicted_volume(state.average.eval(), one) > 0.5
    true = trajectory_volume(one.truth, 4)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.8


def test_a_cascade_adds_a_stage_a_phase():
    config = trajectory_config(phase_steps=(2, 1))
    assert [config.stages(step) for step in range(6)] == [0, 0, 1, 2, 2, 2]
    task = task_of(config)
    state = new_state(task)
    before = {name: p.clone() for name, p in state.model.named_parameters()}
    moved = []
    for _ in range(4):
        train_step(state, [window(1), window(2)], task)
        moved.append(
            {
                name.rsplit(".up")[0].split(".body")[0]
                for name, p in state.model.named_parameters()
                if name.startswith(("high", "output")) and not torch.equal(p, before[name])
            }
        )
    # First only the head, then a stage with its head, then the second stage and the output.
    assert [{name.split(".")[0] + name.split(".")[1] for name in step} for step in moved] == [
        set(),
        set(),
        {"high0"},
        {"high0", "high1", "output0", "output1"},
    ]
    assert task.validate(state.average, 2, "cpu") is None
    assert task.validate(state.average, 3, "cpu") is not None


def test_a_card_tells_what_inference_needs(tmp_path):
    config = trajectory_config(notes=("Tiny.",))
    state = run(config, tmp_path / "out")
    network, card = load_network(tmp_path / "out" / "tiny.safetensors")
    assert card.architecture == "SparseDeepSTULM"
    assert network.config == config.network
    assert card.data["data"]["window_frames"] == FRAMES
    assert card.data["task"] == "trajectory"
    assert card.notes[0] == "Tiny."
    assert card.steps == state.best_step
    assert card.scores.keys() == {"score", "dice_1"}
    # Running statistics of the batch norms are averaged and shipped with the weights.
    for name, value in network.state_dict().items():
        assert torch.equal(value, state.best[name])


@pytest.mark.slow
def test_the_mask_finds_what_is_bright():
    config = mask_config(steps=40, optimizer={"warmup_steps": 2, "learning_rate": 0.02})
    task = MaskTask(config, [(1, mask_window(50))])
    state = new_state(task)
    for step in range(config.steps):
        train_step(state, [mask_window(step)], task)
    state.average.eval()
    scores = task.validate(state.average, config.steps, "cpu")
    assert scores["score"] > 0.9
    assert scores["recall_1"] > 0.9
    assert 0 < scores["share_kept_1"] < 0.1


def test_mirrored_twice_is_the_same():
    one = window(3, flat=False)
    for axes in ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]):
        chosen = np.array(axes, bool)
        twice = mirrored(mirrored(one, chosen), chosen)
        np.testing.assert_array_equal(twice.frames.coordinates, one.frames.coordinates)
        np.testing.assert_array_equal(twice.frames.values, one.frames.values)
        np.testing.assert_allclose(twice.truth.points, one.truth.points, atol=1e-12)


def test_mirrored_truth_is_the_mirrored_volume():
    one = window(4, flat=False)
    volume = trajectory_volume(one.truth, 4, time_stride=1)
    for axis in range(4):
        turned = mirrored(one, np.arange(4) == axis)
        np.testing.assert_array_equal(
            trajectory_volume(turned.truth, 4, time_stride=1), np.flip(volume, axis)
        )
        dense = np.zeros(one.frames.shape, np.complex64)
        dense[tuple(one.frames.coordinates.T)] = one.frames.values
        back = np.flip(dense, axis)[tuple(turned.frames.coordinates.T)]
        np.testing.assert_array_equal(np.abs(turned.frames.values), np.abs(back))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "bubblenet"}, "no trajectory network"),
        ({"data": {"random": {"base": {"grid": {"shape": (8, 8, 8)}}}}}, "one voxel along y"),
        ({"phase_steps": (1, 1, 1)}, "too many"),
        ({"phase_steps": (6,)}, "no step"),
        ({"network": {"chanels": 3}}, "chanels"),
        ({"network": {"pruning": False, "deep_supervision": False}, "phase_steps": (1,)}, "sparse"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        trajectory_config(**changes)


@pytest.mark.parametrize("make", [trajectory_config, mask_config])
def test_test_seeds_are_refused(make, tmp_path):
    config = make()
    held = config.replace(data=config.data.replace(first_seed=TEST_SEEDS.start))
    with pytest.raises(ConfigError, match="test sets"):
        train(held, tmp_path / "out")


def test_a_task_does_not_resume_another(tmp_path):
    run(mask_config(steps=1), tmp_path / "out")
    with pytest.raises(Exception, match="another"):
        run(trajectory_config(steps=1), tmp_path / "out", resume=True)


@pytest.mark.parametrize("shape", [(4, 6, 1, 7), (4, 5, 6, 7)], ids=["plane", "volume"])
def test_mirrored_windows_can_be_trained_on(shape):
    rng = np.random.default_rng(0)
    frames = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    window = MaskWindow(frames, np.abs(frames) > 1)
    mirrored = _mirrored(window, np.ones(4, bool))
    task = MaskTask(mask_config(), [])
    state = new_state(task)
    row = train_step(state, [mirrored], task)
    assert np.isfinite(row["loss"])
    np.testing.assert_array_equal(mirrored.frames, frames[::-1, ::-1, ::-1, ::-1].conj())
    np.testing.assert_array_equal(np.abs(mirrored.frames) > 1, mirrored.wanted)
