"""Settings of a training run; the same file works on a CPU and on a GPU.

`TrainingConfig` contains the settings shared by all tasks, `TrainConfig` is for `BubbleNet`;
the others are in `train.trajectory.config` and `train.mask.config`. A file's `task` selects among them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.config import ClutterConfig, Device, StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.localize.network import NetworkConfig
from napari_ulm3d.networks.bubblenet import BubbleNetConfig
from napari_ulm3d.simulate.conditions import Condition
from napari_ulm3d.simulate.randomization import RandomizationConfig
from napari_ulm3d.simulate.standard import TEST_SEEDS, is_test_seed

__all__ = [
    "DataConfig",
    "LossConfig",
    "OptimizerConfig",
    "TrainConfig",
    "TrainingConfig",
    "ValidationConfig",
    "refuse_test_seeds",
]

Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


def refuse_test_seeds(first: int, count: int) -> None:
    """Refuse seeds first..first + count - 1 if any is in the standard test sets.

    Raises
    ------
    ConfigError
        One of them is a test seed.
    """
    last = first + max(count, 1) - 1
    if is_test_seed(first) or is_test_seed(last) or first < TEST_SEEDS.start <= last:
        raise ConfigError(
            f"Seeds {first} to {last} overlap with those of the test sets ({TEST_SEEDS.start} "
            f"to {TEST_SEEDS.stop - 1}). Train and validate with lower seeds."
        )


class DataConfig(StageConfig):
    """Simulated scenes from which windows are cut."""

    random: RandomizationConfig = RandomizationConfig()
    first_seed: int = setting(
        1, "Seed of the first scene; scene k has the seed first_seed + k.", ge=0
    )
    scene_frames: int = setting(200, "Number of frames filtered together.", "frames", ge=2)
    clutter: ClutterConfig = ClutterConfig()
    svd_first: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = setting(
        (12, 12),
        "Range from which the first singular component to keep is drawn; replaces that "
        "of the clutter settings.",
    )
    width_error: Range = setting(
        (0.85, 1.2), "Range of the PSF width used for the correlation, relative to the true width."
    )
    threshold: Range = setting(
        (0.07, 0.15), "Range of the minimum |c|^2 of kept voxels (uniform in the logarithm)."
    )
    window_frames: int = setting(16, "Number of frames per training window.", "frames", ge=1)
    windows_per_scene: int = setting(
        6, "Number of windows taken from a scene, evenly spaced.", ge=1
    )
    scenes_per_group: int = setting(
        8, "Number of scenes whose windows are shuffled together.", ge=1
    )
    passes: int = setting(
        1, "How often the windows of a group are used before the next group.", ge=1
    )
    max_voxels: int = setting(
        30_000, "Windows with more kept voxels than this are shortened.", "voxels", ge=1
    )
    flips: bool = setting(True, "Mirror windows at random along t, z, y and x.")
    filter_without_tissue: bool = setting(
        True, "Also apply the clutter filter to scenes without tissue."
    )
    workers: int = setting(1, "Number of background threads that simulate.", ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window_frames * self.windows_per_scene > self.scene_frames:
            raise ValueError(
                f"{self.windows_per_scene} windows of {self.window_frames} frames do not fit into "
                f"{self.scene_frames} scene_frames"
            )
        return self


class LossConfig(StageConfig):
    """Weights of the terms of the loss (see `train.bubbles.loss`)."""

    detection: float = setting(1.0, "Detection: which voxels contain a bubble.", ge=0)
    position: float = setting(1.0, "Position of the bubbles.", ge=0)
    count: float = setting(0.02, "Number of bubbles per frame.", ge=0)
    velocity: float = setting(0.1, "Velocity of the bubbles.", ge=0)
    level: float = setting(0.2, "Level of the bubbles.", ge=0)
    doubt: float = setting(
        0.0,
        "For the position loss: bubbles are weighted by their predicted uncertainty to "
        "this power. With 1, close bubbles, which are uncertain, count as much as "
        "isolated ones.",
        ge=0,
        le=2,
    )


class OptimizerConfig(StageConfig):
    """Adam with decoupled weight decay, warm-up, then a decreasing rate."""

    learning_rate: float = setting(2e-3, "Maximum learning rate.", gt=0)
    warmup_steps: int = setting(100, "Number of steps of linear warm-up.", ge=0)
    schedule: Literal["cosine", "drops"] = setting(
        "cosine",
        "Schedule after the warm-up: a half cosine down to a hundredth, or a factor of "
        "ten at each of `drops`.",
    )
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = setting(
        (0.75, 0.85),
        "For drops: the fractions of all steps at which the rate falls by a factor of ten.",
    )
    weight_decay: float = setting(1e-4, "Weight decay.", ge=0)
    clip: float = setting(2.0, "Maximum norm of the gradient.", gt=0)
    average: float = setting(
        0.998, "Decay of the moving average of the weights, which is validated and saved.",
        ge=0, lt=1,
    )  # fmt: skip


class ValidationConfig(StageConfig):
    """Scenes with fixed settings and held-out seeds; the best score selects the weights."""

    preset: str = setting("mouse-brain-15MHz", "Settings of the scenes.")
    shape: tuple[int, int, int] | None = setting(
        None, "Voxels of the scenes along z, y, x. None: as in the preset.", "voxels"
    )
    bubbles: tuple[Annotated[int, Field(ge=0)], ...] = setting(
        (10, 40, 160), "Numbers of bubbles in view; one group of scenes for each."
    )
    crowds: tuple[Annotated[float, Field(gt=0)], ...] = setting(
        (),
        "Distances to the nearest bubble in crowds; one group of scenes for each, in "
        "addition to those of `bubbles`.",
        "wavelengths",
    )
    crowd_bubbles: int = setting(
        80, "Maximum number of bubbles in view in each crowd.", "bubbles", ge=1
    )
    conditions: tuple[Condition, ...] = setting(
        (),
        "Conditions (strain, uneven, masked, jumps); one group of scenes for each, with the number of "
        "bubbles of the preset.",
    )
    images: tuple[str, ...] = setting(
        (),
        "Measured images that training does not draw; one group of scenes for each, in addition "
        "to those of `bubbles` and `crowds`.",
    )
    image_bubbles: int = setting(
        40, "Number of bubbles in view in scenes with measured images.", "bubbles", ge=0
    )
    planar_shape: tuple[int, int] = setting(
        (96, 80), "Voxels of the planes of linear probes along z and x.", "voxels"
    )
    planar_bubbles: int = setting(
        10, "Number of bubbles in view in the planes of linear probes.", "bubbles", ge=0
    )
    scenes: int = setting(1, "Number of scenes per group.", ge=1)
    first_seed: int = setting(8_000_000_000, "Seed of the first scene.", ge=0)
    scene_frames: int = setting(200, "Number of frames filtered together.", "frames", ge=2)
    frames: int = setting(48, "Number of frames that are scored, from the first.", "frames", ge=1)
    threshold: float = setting(0.1, "Minimum |c|^2 of kept voxels.", gt=0, le=1)
    every_steps: int = setting(250, "Number of steps between validations.", ge=1)

    @property
    def n_scenes(self) -> int:
        """Total number of scenes, each with its own seed."""
        groups = (self.bubbles, self.crowds, self.conditions, self.images)
        return sum(map(len, groups)) * self.scenes


class TrainingConfig(StageConfig):
    """Training settings of every network; each task adds its network, data and loss."""

    name: str = setting("network", "Name of the weights.")
    notes: tuple[str, ...] = setting((), "Description for the card of the weights.")
    seed: int = setting(0, "Seed of the initial weights and of the order of the windows.", ge=0)
    start: str | None = setting(
        None,
        "Weights of the same network to start from: a file, or the name of included "
        "weights. None: random weights.",
    )
    steps: int = setting(6000, "Total number of optimizer steps.", ge=1)
    batch_windows: int = setting(2, "Number of windows per step.", ge=1)
    checkpoint_steps: int = setting(100, "Number of steps between checkpoints.", ge=1)
    log_steps: int = setting(10, "Number of steps between lines of the log.", ge=1)
    device: Device = setting("auto", "Device for the training.")
    precision: Literal["auto", "full", "half"] = setting(
        "auto",
        "Numerical precision of the products. full: 32 bits; half: 16 bits (bfloat16); auto: half on "
        "CUDA, full on the CPU.",
    )
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    validation: ValidationConfig = ValidationConfig()

    @property
    def steps_per_group(self) -> int:
        """Number of steps for which a group of scenes is used."""
        data = self.data
        windows = data.scenes_per_group * data.windows_per_scene * data.passes
        return max(1, windows // self.batch_windows)

    @property
    def n_scenes(self) -> int:
        """Number of scenes drawn in the whole training."""
        return -(-self.steps // self.steps_per_group) * self.data.scenes_per_group

    def check_seeds(self) -> None:
        """Check that training, validation and test seeds are disjoint.

        Raises
        ------
        ConfigError
            They are not.
        """
        data, held = self.data, self.validation
        n_held = held.n_scenes
        refuse_test_seeds(data.first_seed, self.n_scenes)
        refuse_test_seeds(held.first_seed, n_held)
        first = max(data.first_seed, held.first_seed)
        last = min(data.first_seed + self.n_scenes, held.first_seed + n_held)
        if first < last:
            raise ConfigError(
                f"Seed {first} would be used for both training and validation. Change "
                "data.first_seed or validation.first_seed."
            )


class TrainConfig(TrainingConfig):
    """All settings of a training of `BubbleNet`."""

    task: Literal["bubblenet"] = setting("bubblenet", "Network to train.")
    name: str = setting("bubblenet", "Name of the weights.")
    network: BubbleNetConfig = BubbleNetConfig()
    loss: LossConfig = LossConfig()
    inference: NetworkConfig = NetworkConfig()
