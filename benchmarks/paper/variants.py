"""The networks, strategies and options that `benchmarks.paper` trains, with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_ulm3d.simulate import preset
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.config import TrainingConfig
from napari_ulm3d.train.mask.config import MaskTrainConfig
from napari_ulm3d.train.registry import make_task
from napari_ulm3d.train.task import Task
from napari_ulm3d.train.trajectory.config import TrajectoryTrainConfig
from napari_ulm3d.train.trajectory.dice_loss import trajectory_target
from napari_ulm3d.train.trajectory.loss import Target, right_target
from napari_ulm3d.train.trajectory.targets import Trajectories
from napari_ulm3d.train.trajectory.task import TrajectoryTask

__all__ = ["MASK", "SCALES", "Scale", "Variant", "released_target", "variants"]

THRESHOLDS = (0.01, 0.05, 0.10, 0.25, 0.35, 0.50)
BASE_THRESHOLD = 0.25
# Published: 5k to 500k in a sample of 512 frames of 32 x 32 voxels; here as shares of a sample.
TOP_K = (5_000, 15_000, 50_000, 150_000, 500_000)
TOP_K_OF = 512 * 32 * 32
MASK = "mask-2d"


@dataclass(frozen=True)
class Scale:
    """Sizes of networks, scenes and trainings.

    Attributes
    ----------
    suffix
        Suffix of the networks' presets.
    network
        Settings that override the preset of every trajectory network.
    window_frames
        Frames per sample.
    train_2d, train_3d
        Voxels along each axis of a training scene; for a test scene: `test_2d`, `test_3d`.
    test_frames
        Frames of a test scene.
    bubbles_2d, bubbles_3d
        Concentrations: bubbles in the published 32 x 32 and 32 x 32 x 32 voxels.
    test_scenes
        Number of vasculatures per concentration.
    steps_2d, steps_3d, steps_mask
        Steps of the trainings.
    high_resolution
        More settings of `TrainingConfig`.
    """

    suffix: str
    window_frames: int
    train_2d: int
    train_3d: int
    test_2d: int
    test_3d: int
    test_frames: int
    bubbles_2d: tuple[int, ...]
    bubbles_3d: tuple[int, ...]
    test_scenes: int
    steps_2d: int
    steps_3d: int
    steps_mask: int
    validate_steps: int
    network: dict[str, Any] = field(default_factory=dict)


SCALES = {
    "quick": Scale(
        "-small", 16, 10, 8, 10, 8, 32, (5,), (10,), 1, 3, 2, 2, 3,
        {"channels": 2, "convolutions": 1, "input_kernel": 3, "time_pools": (2, 2)},
    ),
    "small": Scale(
        "-small", 64, 20, 16, 32, 32, 512, (1, 5, 10, 20), (1, 10, 30), 2, 1000, 600, 600, 200
    ),
    # The published sizes, for a GPU.
    "full": Scale("", 512, 32, 32, 32, 32, 2048, (1, 5, 10, 20), (1, 10, 30), 4, 20000, 20000, 4000, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One network of the tables.

    Attributes
    ----------
    name
        Name of its folder in the cache.
    title
        Title in the tables.
    group
        The tables that contain it.
    config
        Settings of its training.
    target
        Creates its targets.
    """

    name: str
    title: str
    group: tuple[str, ...]
    config: TrainingConfig
    target: Target = right_target

    def task(self) -> Task:
        """Task for the training loop."""
        if isinstance(self.config, TrajectoryTrainConfig):
            return TrajectoryTask(self.config, target=self.target)
        return make_task(self.config)


def variants(scale: Scale, cache: Path, device: str = "auto") -> list[Variant]:
    """All networks in the order of training: the mask network before the one that uses it."""
    made = [Variant(MASK, "mask CNN (chooses voxels)", (), _mask(scale, device))]

    def add(
        name: str, title: str, *groups: str, data: dict[str, Any] | None = None,
        network: dict[str, Any] | None = None, cascade: bool = False,
        target: Target = right_target, preset_name: str = "sparse-2d",
    ) -> None:  # fmt: skip
        config = _trajectory(scale, preset_name, name, data or {}, network or {}, cascade, device)
        made.append(Variant(name, title, groups, config, target))

    add("dense-2d", "dense", "2d", preset_name="dense-2d", data={"strategy": "all"})
    for threshold in THRESHOLDS:
        base = ("2d", "ablation") if threshold == BASE_THRESHOLD else ()
        data = {"threshold": (threshold, threshold)}
        title = f"threshold {threshold:.2f}"
        add(f"sparse-2d-threshold-{threshold:.2f}", title, "strategy", *base, data=data)
    for k in TOP_K:
        data = {"strategy": "topk", "top_share": k / TOP_K_OF}
        title = f"top {k // 1000}k of {TOP_K_OF:,} ({100 * k / TOP_K_OF:.1f} %)"
        add(f"sparse-2d-top-{k // 1000}k", title, "strategy", data=data)
    mask = str(cache / MASK / f"{MASK}.safetensors")
    data = {"strategy": "learned", "mask_weights": mask}
    add("sparse-2d-mask", "mask CNN", "strategy", data=data)

    plain = {"pruning": False, "deep_supervision": False}
    deep = {"pruning": False}
    add("sparse-2d-plain", "neither", "ablation", network=plain)
    add("sparse-2d-deep", "deep supervision", "ablation", network=deep)
    add(
        "sparse-2d-deep-cascade",
        "deep supervision, cascaded",
        "ablation",
        network=deep,
        cascade=True,
    )
    add(
        "sparse-2d-pruning-cascade", "deep supervision, pruning, cascaded", "ablation", cascade=True
    )
    add(
        "sparse-2d-pruning-released",
        "deep supervision, pruning, heads' targets at half the time stride (as released)",
        "ablation",
        target=released_target,
    )
    add(
        "sparse-2d-deep-released",
        "deep supervision, heads' targets at half the time stride (as released)",
        "ablation",
        network=deep,
        target=released_target,
    )
    add("sparse-3d", "sparse", "3d", preset_name="sparse-3d", data={"threshold": (0.25, 0.25)})
    return made


def released_target(
    truth: Sequence[Trajectories], prediction: SparseTensor, head: bool
) -> tuple[Coordinates, Tensor | None]:
    """Targets of heads as in the released code of the publication: at half the time stride.

    There, a target of stride 64 is matched to a head of stride 128 by coordinates. Every second time
    bin of the target falls between those of the head: trajectories in it are never matched, and the
    head is trained on the other half of the frames only.
    """
    if not head:
        return trajectory_target(truth, prediction), None
    grid = prediction.coordinates
    half = (Fraction(grid.stride[0]) / 2, *grid.stride[1:])
    parts, unreachable = [], []
    for sample, window in enumerate(truth):
        voxels = window.voxels(half)
        meets = voxels[:, 0] % 2 == 0
        unreachable.append(int((~meets).sum()))
        own = torch.as_tensor(voxels[meets])
        own[:, 0] //= 2
        parts.append(torch.cat([torch.full((len(own), 1), sample), own], dim=1))
    indices = torch.cat(parts).to(grid.device)
    target, _ = Coordinates.create(indices, grid.shape, grid.batch_size, grid.stride)
    return target, torch.tensor(unreachable)


def _trajectory(
    scale: Scale, name: str, variant: str, data: dict[str, Any], network: dict[str, Any],
    cascade: bool, device: str,
) -> TrajectoryTrainConfig:  # fmt: skip
    volume = name.endswith("3d")
    steps = scale.steps_3d if volume else scale.steps_2d
    side = scale.train_3d if volume else scale.train_2d
    shape = (side, side, side) if volume else (side, 1, side)
    bubbles = scale.bubbles_3d if volume else scale.bubbles_2d
    held = {"threshold": data["threshold"][0]} if "threshold" in data else {}
    doublings = 2 if scale.suffix else 3
    # The first phases are short, since their part of the network is small.
    phases = (max(1, steps // 8),) * doublings if cascade and steps > doublings else ()
    phases = phases if sum(phases) < steps else ()
    return TrajectoryTrainConfig.from_dict(
        {
            "preset": name + scale.suffix,
            "name": variant,
            "network": {**scale.network, **network},
            "phase_steps": phases,
            "data": {
                **_data(scale, "paper3d" if volume else "paper2d", shape, bubbles),
                "threshold": (BASE_THRESHOLD, BASE_THRESHOLD),
                "max_voxels": 10_000_000 if not scale.suffix else 60_000,
                **data,
            },
            "validation": {
                **_validation(scale, "paper3d" if volume else "paper2d", shape, bubbles),
                "threshold": BASE_THRESHOLD,
                **held,
            },
            **_common(steps, device),
        }
    )


def _mask(scale: Scale, device: str) -> MaskTrainConfig:
    shape = (scale.train_2d, 1, scale.train_2d)
    return MaskTrainConfig.from_dict(
        {
            "name": MASK,
            "data": {**_data(scale, "paper2d", shape, scale.bubbles_2d), "flat_share": 0.0},
            "validation": _validation(scale, "paper2d", shape, scale.bubbles_2d),
            **_common(scale.steps_mask, device),
        }
    )


def _common(steps: int, device: str) -> dict[str, Any]:
    return {
        "steps": steps,
        "batch_windows": 2,
        "checkpoint_steps": 50,
        "log_steps": 25,
        "device": device,
        "optimizer": {
            "learning_rate": 1e-2,
            "warmup_steps": min(50, steps // 10),
            "average": 0.99,
        },
    }


def _data(
    scale: Scale, name: str, shape: tuple[int, int, int], bubbles: tuple[int, ...]
) -> dict[str, Any]:
    """Scenes like the test scenes, with other vessels and numbers of bubbles in their range."""
    base = preset(name)
    wave, psf = base.wavelength_um, base.psf
    z, _, x = base.grid.voxel_um
    share = (shape[0] / 32) ** (2 if shape[1] == 1 else 3)
    speed = base.travel.max_speed_mm_s or base.vessels.flow.max_speed_mm_s or 25.0

    def only(value: float) -> tuple[float, float]:
        return (value, value)

    scene_frames = 3 * scale.window_frames if scale.suffix else scale.window_frames
    return {
        "random": {
            "base": {**base.model_dump(), "grid": {"shape": shape, "voxel_um": base.grid.voxel_um}},
            "wavelength_um": only(wave),
            "axial_voxel": only(z / wave),
            "lateral_voxel": only(x / wave),
            "axial_fwhm": only(psf.fwhm_um[0] / wave),
            "lateral_fwhm": only(psf.fwhm_um[2] / wave),
            "elevation_ratio": only(psf.fwhm_um[1] / psf.fwhm_um[2]),
            "widening_per_mm": only(psf.widening_per_mm),
            "carrier": only(psf.carrier),
            "side_lobe_db": only(psf.side_lobe_db or -60.0),
            "snr_db": only(base.noise.snr_db or 18.0),
            "noise_grain": only(0.0),
            "amplitude_sd_db": only(base.bubbles.amplitude_sd_db),
            "clutter_share": 0.0,
            "motion_um": only(0.0),
            "rate_hz": only(base.rate_hz),
            "max_speed_mm_s": only(speed),
            "n_bubbles": (max(1.0, bubbles[0] * share), max(2.0, 1.5 * bubbles[-1] * share)),
        },
        "clutter": {"method": "none"},
        "width_error": only(1.0),
        "scene_frames": scene_frames,
        "window_frames": scale.window_frames,
        "windows_per_scene": scene_frames // scale.window_frames,
        "scenes_per_group": 8 if scale.steps_2d > 10 else 1,
        "passes": 2 if scale.steps_2d > 10 else 1,
        "workers": 1 if scale.suffix else 8,
    }


def _validation(
    scale: Scale, name: str, shape: tuple[int, int, int], bubbles: tuple[int, ...]
) -> dict[str, Any]:
    share = (shape[0] / 32) ** (2 if shape[1] == 1 else 3)
    frames = min(128, scale.test_frames) if scale.suffix else scale.window_frames
    return {
        "preset": name,
        "shape": shape,
        "bubbles": sorted({max(1, round(share * n)) for n in (bubbles[0], bubbles[-1])}),
        "scene_frames": frames,
        "frames": frames,
        "every_steps": scale.validate_steps,
    }
