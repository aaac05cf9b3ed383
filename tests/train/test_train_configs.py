"""Settings files: those shipped are valid, each names its task, and scenes become windows."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.registry import PRESETS
from napari_ulm3d.train.config import TrainConfig
from napari_ulm3d.train.mask.config import MaskDataConfig
from napari_ulm3d.train.mask.task import mask_windows
from napari_ulm3d.train.registry import make_task, read_config
from napari_ulm3d.train.trajectory.config import TrajectoryDataConfig
from napari_ulm3d.train.trajectory.windows import keeper, training_windows

SHIPPED = sorted(Path(str(files("napari_ulm3d.train"))).glob("configs/*.toml"))
SMALL = {
    "scene_frames": 32,
    "window_frames": 16,
    "windows_per_scene": 2,
    "clutter": {"method": "none"},
    "random": {
        "base": {"grid": {"shape": (14, 1, 14)}},
        "n_bubbles": (8, 10),
        "snr_db": (20, 24),
        "clutter_share": 0.0,
    },
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_settings_are_valid(path):
    config = read_config(path)
    config.check_seeds()
    assert config.name == path.stem
    network = make_task(config).network()
    preset = "bubblenet" if config.task == "bubblenet" else path.stem.removesuffix("-2")
    assert type(network).__name__ == PRESETS[preset].architecture
    if preset != "bubblenet":
        assert any("Small" in note for note in config.notes)


def test_a_file_without_a_task_is_bubblenet(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("steps = 3\n")
    assert isinstance(read_config(file), TrainConfig)
    file.write_text('task = "nonsense"\n')
    with pytest.raises(ConfigError, match="nonsense"):
        read_config(file)
    file.write_text("not toml")
    with pytest.raises(ConfigError, match="TOML"):
        read_config(file)


@pytest.mark.parametrize("strategy", ["threshold", "topk", "all"])
def test_trajectory_windows_of_a_scene(strategy):
    config = TrajectoryDataConfig.from_dict({**SMALL, "strategy": strategy, "top_share": 0.05})
    made = training_windows(3, config, 4, keeper(config))
    again = training_windows(3, config, 4, keeper(config))
    assert len(made) == 2
    for a, b in zip(made, again, strict=True):
        np.testing.assert_array_equal(a.frames.values, b.frames.values)
        np.testing.assert_array_equal(a.truth.points, b.truth.points)
        assert a.frames.shape == (16, 14, 1, 14)
        assert a.truth.shape == (16, 14, 14)
        counts = {"topk": round(0.05 * 16 * 14 * 14), "all": 16 * 14 * 14}
        assert len(a.frames) == counts.get(strategy, len(a.frames)) > 0
        if strategy == "threshold":
            continue
        # Trajectories run through voxels with high correlation.
        bright = np.zeros((16, 14, 14))
        bright[tuple(a.frames.coordinates[:, [0, 1, 3]].T)] = np.abs(a.frames.values)
        crossed = a.truth.voxels([1, 1, 1])
        assert bright[tuple(crossed.T)].mean() > 1.5 * bright.mean()


def test_too_many_voxels_take_their_trajectories_with_them():
    config = TrajectoryDataConfig.from_dict({**SMALL, "flips": False})
    whole = training_windows(5, config, 4, keeper(config))
    most = min(len(window.frames) for window in whole) // 2
    less = training_windows(5, config.replace(max_voxels=most), 4, keeper(config))
    for a, b in zip(whole, less, strict=True):
        assert len(b.frames) <= most
        last = b.frames.coordinates[:, 0].max()
        assert b.truth.points[:, 0].max() <= last + 1
        assert b.truth.points[:, 0].max() < a.truth.points[:, 0].max()
        assert b.frames.shape == a.frames.shape


def test_mask_windows_are_planes_and_volumes():
    config = MaskDataConfig.from_dict(
        {
            **SMALL,
            "random": {**SMALL["random"], "base": {"grid": {"shape": (10, 10, 10)}}},
            "flat_share": 0.5,
            "flat_shape": (12, 14),
        }
    )
    shapes = set()
    for seed in range(1, 7):
        for window in mask_windows(seed, config):
            assert window.wanted.shape == window.frames.shape
            shapes.add(window.frames.shape)
            if window.wanted.any() and not window.wanted.all():
                level = np.abs(window.frames)
                assert level[window.wanted].mean() > level[~window.wanted].mean()
    assert shapes == {(16, 12, 1, 14), (16, 10, 10, 10)}
