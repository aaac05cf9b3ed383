"""From a simulated scene to windows, and validation on it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.imaging.measured import measured_image
from napari_ulm3d.simulate.standard import TEST_SEEDS
from napari_ulm3d.train.bubbles.validate import validation_scenes
from napari_ulm3d.train.bubbles.windows import training_windows
from napari_ulm3d.train.config import DataConfig, TrainConfig, ValidationConfig
from napari_ulm3d.train.scenes import validation_settings

CONFIG = DataConfig.from_dict(
    {
        "random": {
            "base": {"grid": {"shape": (20, 16, 16)}},
            "n_bubbles": (20, 30),
            "snr_db": (20, 24),
        },
        "scene_frames": 40,
        "clutter": {"svd_range": (9, 40)},
        "svd_first": (9, 9),
        "window_frames": 8,
        "windows_per_scene": 3,
        "max_voxels": 1500,
    }
)


def test_windows_of_a_scene():
    made = training_windows(3, CONFIG)
    again = training_windows(3, CONFIG)
    assert len(made) == 3
    for a, b in zip(made, again, strict=True):
        np.testing.assert_array_equal(a.block.coordinates, b.block.coordinates)
        np.testing.assert_array_equal(a.block.amplitude, b.block.amplitude)
        np.testing.assert_array_equal(a.targets.offset, b.targets.offset)
        assert a.block.shape == (8, 20, 16, 16)
        assert 0 < len(a.block) <= 1500
        assert len(a.targets) > 10
        # Ground truth and voxels correspond: the assigned voxels are the bright ones.
        rows = a.targets.voxel[a.targets.voxel >= 0]
        bright = np.abs(a.block.amplitude)
        assert bright[rows].mean() > 1.2 * bright.mean()


def test_flips_move_voxels_and_bubbles_together():
    plain = training_windows(4, CONFIG.replace(flips=False, max_voxels=10**6))
    mirrored = training_windows(4, CONFIG.replace(max_voxels=10**6))
    for a, b in zip(plain, mirrored, strict=True):
        assert len(a.targets) == len(b.targets)
        key = [np.sort(np.linalg.norm(w.targets.offset[:, 0], axis=1)) for w in (a, b)]
        np.testing.assert_allclose(*key, atol=1e-4)


def test_test_seeds_make_no_windows():
    with pytest.raises(ConfigError, match="test sets"):
        training_windows(TEST_SEEDS.start, CONFIG)
    with pytest.raises(ConfigError, match="test sets"):
        validation_scenes(ValidationConfig(first_seed=TEST_SEEDS.start), CONFIG)


def test_validation_has_scenes_of_crowds_too():
    held = ValidationConfig(
        bubbles=(5,), crowds=(0.8, 3.0), scenes=2, shape=(16, 14, 14), scene_frames=30, frames=6
    )
    made = dict(validation_settings(held))
    assert list(made) == [5, "crowd-0.8", "crowd-3"]
    assert made[5].crowd is None
    assert made["crowd-0.8"].crowd.nearest_wavelengths[1] < 1.1
    assert held.n_scenes == 6
    every = [scene.seed for _, scene in validation_settings(held)]
    assert every == list(range(held.first_seed, held.first_seed + 6))
    train = TrainConfig(validation=held.replace(first_seed=2), data=DataConfig(first_seed=7))
    with pytest.raises(ConfigError, match="Seed 7"):  # the last crowd's
        train.check_seeds()
    scenes = validation_scenes(held.replace(scenes=1), CONFIG)
    assert [item.group for item in scenes] == [5, "crowd-0.8", "crowd-3"]


def test_windows_of_crowds_hold_close_bubbles():
    alone = CONFIG.replace(windows_per_scene=1)
    ranges = alone.random
    crowds = ranges.replace(worlds=ranges.worlds.replace(vessels=0.0, crowds=1.0))
    made = [training_windows(seed, alone.replace(random=crowds))[0] for seed in range(6)]
    assert sum(len(window.targets) for window in made) > 50
    again = training_windows(2, alone.replace(random=crowds))[0]
    np.testing.assert_array_equal(made[2].block.coordinates, again.block.coordinates)


def test_the_shipped_settings_are_valid():
    from importlib.resources import files

    with_file = files("napari_ulm3d.train") / "configs" / "bubblenet.toml"
    config = TrainConfig.from_toml(str(with_file))
    config.check_seeds()


def test_windows_of_measured_images():
    measured = CONFIG.random.replace(image_share=1.0, image_voxels=(1.5, 2.5))
    alone = CONFIG.replace(windows_per_scene=1, random=measured)
    for seed in (0, 1, 3):
        (window,) = training_windows(seed, alone)
        assert len(window.targets) > 10
        rows = window.targets.voxel[window.targets.voxel >= 0]
        assert len(rows) > len(window.targets) / 4
        bright = np.abs(window.block.amplitude)
        assert bright[rows].mean() > 1.2 * bright.mean()


def test_validation_has_images_held_out_from_training():
    held = ValidationConfig(bubbles=(5,), images=("matrix-28",), image_bubbles=7, scenes=2)
    made = dict(validation_settings(held))
    assert list(made) == [5, "image-matrix-28"]
    assert made["image-matrix-28"].psf.image == "matrix-28"
    assert made["image-matrix-28"].bubbles.n_bubbles == 7
    assert held.n_scenes == 4
    with pytest.raises(ConfigError, match="validate with matrix-22, matrix-28"):
        list(validation_settings(held.replace(images=("matrix-16",))))
    with pytest.raises(ConfigError, match="validate with linear-88, linear-112"):
        list(validation_settings(held.replace(images=("linear-64",))))


def test_validation_has_planes_of_held_out_linear_probes():
    held = ValidationConfig(
        bubbles=(), images=("linear-88",), planar_shape=(30, 24), planar_bubbles=4, frames=12
    )
    ((name, plane),) = validation_settings(held)
    assert name == "image-linear-88"
    assert plane.grid.shape == (30, 1, 24)
    assert plane.bubbles.n_bubbles == 4
    # Two voxels per width within the plane, the beam's thickness across it.
    image = measured_image("linear-88")
    width = image.fwhm.mean(axis=(0, 1, 2)) * plane.wavelength_um
    np.testing.assert_allclose(width[[0, 2]] / np.array(plane.grid.voxel_um)[[0, 2]], 2)
    assert plane.psf.fwhm_um[1] == plane.grid.voxel_um[1] == 4 * plane.wavelength_um
    ((group, scene),) = [(v.group, v.scene) for v in validation_scenes(held, DataConfig())]
    assert group == "image-linear-88"
    assert len(scene.bubbles.frame) > 0
    assert len(scene.block) > 0
