"""Training scenes under each condition, processed as the pipeline processes an acquisition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from napari_ulm3d.calibrate.stage import measure_block
from napari_ulm3d.config import PipelineConfig, PsfConfig
from napari_ulm3d.filtering import make_psf, patch_of
from napari_ulm3d.networks.bubblenet_input import bubble_input, noise_level
from napari_ulm3d.pipeline.blocks import filter_block
from napari_ulm3d.pipeline.localizers.network import kept_voxels
from napari_ulm3d.simulate import simulate
from napari_ulm3d.simulate.conditions import Condition, ConditionsConfig
from napari_ulm3d.train.bubbles.validate import validation_scenes
from napari_ulm3d.train.bubbles.windows import make_scene, training_windows
from napari_ulm3d.train.config import DataConfig, ValidationConfig
from napari_ulm3d.train.scenes import draw_scene

CONFIG = DataConfig.from_dict(
    {
        "random": {
            "base": {"grid": {"shape": (24, 18, 18)}},
            "n_bubbles": (20, 30),
            "snr_db": (20, 24),
            "clutter_db": (15, 20),
        },
        "scene_frames": 60,
        "clutter": {"svd_range": (9, 60)},
        "svd_first": (5, 9),
        "window_frames": 10,
        "windows_per_scene": 2,
    }
)


def under(*names: str) -> DataConfig:
    conditions = ConditionsConfig(**{f"{name}_share": 1.0 for name in names})
    return CONFIG.replace(random=CONFIG.random.replace(conditions=conditions))


@pytest.mark.parametrize("name", get_args(Condition))
def test_windows_have_kept_voxels_at_their_bubbles(name: str) -> None:
    made = [w for seed in (3, 4) for w in training_windows(seed, under(name))]
    rows = [w.targets.voxel[w.targets.voxel >= 0] for w in made]
    assert sum(map(len, rows)) > 40
    assert sum(map(len, rows)) > 0.8 * sum(len(w.targets) for w in made)
    at = np.concatenate([np.abs(w.block.amplitude[r]) for w, r in zip(made, rows, strict=True)])
    elsewhere = np.concatenate([np.abs(w.block.amplitude) for w in made])
    assert at.mean() > 1.1 * elsewhere.mean()


@pytest.mark.parametrize("names", [*((name,) for name in get_args(Condition)), get_args(Condition)])
def test_the_network_is_given_what_the_pipeline_would_give_it(names: tuple[str, ...]) -> None:
    draw = draw_scene(7, under(*names))
    scene = make_scene(draw.config, clutter=draw.clutter, threshold=0.1)
    simulation = simulate(draw.config)
    acquisition = simulation.acquisition
    (block,) = acquisition.blocks(draw.config.n_frames)
    config = PipelineConfig(device="cpu").with_settings(["sparsify.threshold=0.1"])
    assert draw.clutter.svd_range is not None
    first, last = draw.clutter.svd_range
    if {"strain", "jumps"} & set(names):
        found, _ = measure_block(
            block.read(), acquisition, PipelineConfig(device="cpu"), tries_cuts=False
        )
        assert found.cut is not None
        first = max(first, found.cut.first)
    cut = draw.clutter.replace(svd_range=(first, last))
    config = config.model_copy(update={"clutter": cut})
    filtered = filter_block(block, acquisition, config)
    expected = None if "masked" not in names else acquisition.read(0, 1)[0] != 0
    np.testing.assert_equal(filtered.valid, expected)
    fwhm = scene.block.fwhm_voxels
    psf = make_psf(
        PsfConfig(fwhm_voxels=fwhm, patch_voxels=patch_of(fwhm)),
        filtered.frames[:32],
        acquisition.grid,
        acquisition.wavelength_um,
        "iq",
        valid=filtered.valid,
    )
    plan = SimpleNamespace(config=config, psf=psf)
    kept = kept_voxels(block, filtered, plan, lambda: False)  # type: ignore[arg-type]
    given = bubble_input(
        filtered.frames,
        kept,
        fwhm_voxels=psf.fwhm_voxels,
        carrier_rad=psf.carrier_rad,
        level=noise_level(filtered.frames, filtered.valid),
    )
    np.testing.assert_array_equal(given.coordinates, scene.block.coordinates)
    np.testing.assert_allclose(given.correlation, scene.block.correlation, atol=1e-5)
    np.testing.assert_allclose(given.amplitude, scene.block.amplitude, rtol=1e-4, atol=1e-4)


def test_validation_has_a_group_for_each_condition() -> None:
    plain = ValidationConfig(
        bubbles=(5,), crowds=(2.0,), shape=(16, 14, 14), scene_frames=40, frames=6
    )
    held = plain.replace(conditions=get_args(Condition))
    assert held.n_scenes == plain.n_scenes + 4
    scenes = validation_scenes(held, CONFIG)
    assert [item.group for item in scenes] == [5, "crowd-2", *get_args(Condition)]
    for item, before in zip(scenes, validation_scenes(plain, CONFIG), strict=False):
        np.testing.assert_array_equal(item.scene.block.amplitude, before.scene.block.amplitude)
    assert all(len(item.scene.block) for item in scenes)
    masked = scenes[4].scene
    seen = masked_field(masked.grid.shape)
    rows = np.rint(masked.bubbles.position).astype(int)
    assert seen[tuple(rows.T)].all()


def masked_field(shape: tuple[int, int, int]) -> np.ndarray:
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    across = [(a - (n - 1) / 2) / (n / 2) for a, n in zip((y, x), shape[1:], strict=True)]
    return np.hypot(*across) <= 0.5 + 0.4 * z / (shape[0] - 1)
