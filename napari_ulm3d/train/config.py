"""The settings of a training run; the same file trains on a CPU and on a GPU.

`TrainingConfig` holds what all tasks share, `TrainConfig` is that of `BubbleNet`; the others
stand in `trajectory_config` and `mask_config`. A file's `task` says which one it is.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.config import ClutterConfig, Device, StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.localize.network import NetworkConfig
from napari_ulm3d.networks.bubblenet import BubbleNetConfig
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
    """Seeds first..first + count - 1 must not touch those of the standard test sets.

    Raises
    ------
    ConfigError
        One of them is a test seed.
    """
    last = first + max(count, 1) - 1
    if is_test_seed(first) or is_test_seed(last) or first < TEST_SEEDS.start <= last:
        raise ConfigError(
            f"Seeds {first} to {last} reach into those of the test sets ({TEST_SEEDS.start} to "
            f"{TEST_SEEDS.stop - 1}). Train and validate with lower seeds."
        )


class DataConfig(StageConfig):
    """From which simulated scenes windows are cut."""

    random: RandomizationConfig = RandomizationConfig()
    first_seed: int = setting(1, "Scene k of the training has the seed first_seed + k.", ge=0)
    scene_frames: int = setting(200, "Frames filtered together.", "frames", ge=2)
    clutter: ClutterConfig = ClutterConfig()
    svd_first: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = setting(
        (12, 12), "First singular component kept, drawn from this range in place of clutter's."
    )
    width_error: Range = setting(
        (0.85, 1.2), "Width of the PSF that the data are correlated with, over the true one."
    )
    threshold: Range = setting(
        (0.07, 0.15), "Least |c|^2 of voxels kept, drawn evenly over the logarithm."
    )
    window_frames: int = setting(16, "Frames of a training window.", "frames", ge=1)
    windows_per_scene: int = setting(6, "Windows cut from a scene, evenly spaced.", ge=1)
    scenes_per_group: int = setting(8, "Scenes whose windows are shuffled together.", ge=1)
    passes: int = setting(1, "How often a group's windows are used before the next one.", ge=1)
    max_voxels: int = setting(
        30_000, "A window of more kept voxels is cut to fewer frames.", "voxels", ge=1
    )
    flips: bool = setting(True, "Mirror windows at random along t, z, y and x.")
    filter_without_tissue: bool = setting(
        True, "Clutter-filter scenes that have no tissue too; else they stay as they are."
    )
    workers: int = setting(1, "Threads that simulate in the background.", ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window_frames * self.windows_per_scene > self.scene_frames:
            raise ValueError(
                f"{self.windows_per_scene} windows of {self.window_frames} frames do not fit "
                f"{self.scene_frames} scene_frames"
            )
        return self


class LossConfig(StageConfig):
    """Weights of the terms of the loss (see `train.losses`)."""

    detection: float = setting(1.0, "Which voxels hold a bubble.", ge=0)
    position: float = setting(1.0, "Where the bubbles are.", ge=0)
    count: float = setting(0.02, "How many bubbles a frame holds.", ge=0)
    velocity: float = setting(0.1, "How they move.", ge=0)
    level: float = setting(0.2, "How bright they are.", ge=0)
    doubt: float = setting(
        0.0,
        "position: bubbles weigh as their predicted uncertainty to this power; 1 lets close "
        "ones, which are uncertain, count beside lone ones.",
        ge=0,
        le=2,
    )


class OptimizerConfig(StageConfig):
    """Adam with decoupled weight decay, warm-up, then a rate that falls."""

    learning_rate: float = setting(2e-3, "Highest learning rate.", gt=0)
    warmup_steps: int = setting(100, "Steps of linear warm-up.", ge=0)
    schedule: Literal["cosine", "drops"] = setting(
        "cosine", "After it: half a cosine down to a hundredth, or a tenth at each of `drops`."
    )
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = setting(
        (0.75, 0.85), "drops: shares of all steps at which the rate falls to a tenth."
    )
    weight_decay: float = setting(1e-4, "Weight decay.", ge=0)
    clip: float = setting(2.0, "Greatest norm of the gradient.", gt=0)
    average: float = setting(
        0.998, "Decay of the running mean of the weights, which is validated and shipped.",
        ge=0, lt=1,
    )  # fmt: skip


class ValidationConfig(StageConfig):
    """Scenes of fixed settings and held-out seeds; the best score picks the weights."""

    preset: str = setting("mouse-brain-15MHz", "Settings of the scenes.")
    shape: tuple[int, int, int] | None = setting(
        None, "Voxels of the scenes along z, y, x; None: as the preset has them.", "voxels"
    )
    bubbles: tuple[Annotated[int, Field(ge=0)], ...] = setting(
        (10, 40, 160), "Bubbles in view, a group of scenes each."
    )
    crowds: tuple[Annotated[float, Field(gt=0)], ...] = setting(
        (),
        "Distances to the nearest bubble in crowds, a group of scenes each, besides those of "
        "`bubbles`.",
        "wavelengths",
    )
    crowd_bubbles: int = setting(80, "Bubbles in view of each crowd, at most.", "bubbles", ge=1)
    scenes: int = setting(1, "Scenes of each number of bubbles.", ge=1)
    first_seed: int = setting(8_000_000_000, "Seed of the first scene.", ge=0)
    scene_frames: int = setting(200, "Frames filtered together.", "frames", ge=2)
    frames: int = setting(48, "The first frames, which are scored.", "frames", ge=1)
    threshold: float = setting(0.1, "Least |c|^2 of voxels kept.", gt=0, le=1)
    every_steps: int = setting(250, "Steps between validations.", ge=1)

    @property
    def n_scenes(self) -> int:
        """Scenes in all, each of a seed of its own."""
        return (len(self.bubbles) + len(self.crowds)) * self.scenes


class TrainingConfig(StageConfig):
    """What the training of every network needs; each task adds its network, data and loss."""

    name: str = setting("network", "What to call the weights.")
    notes: tuple[str, ...] = setting((), "Sentences for the weights' card.")
    seed: int = setting(0, "Seed of the first weights and of the order of windows.", ge=0)
    start: str | None = setting(
        None,
        "Weights of the same network to start from, a file or the name of shipped ones; none: "
        "drawn by the seed.",
    )
    steps: int = setting(6000, "Steps of the optimizer in all.", ge=1)
    batch_windows: int = setting(2, "Windows a step.", ge=1)
    checkpoint_steps: int = setting(100, "Steps between checkpoints.", ge=1)
    log_steps: int = setting(10, "Steps between lines of the log.", ge=1)
    device: Device = setting("auto", "Where to train.")
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    validation: ValidationConfig = ValidationConfig()

    @property
    def steps_per_group(self) -> int:
        """Steps that a group of scenes lasts."""
        data = self.data
        windows = data.scenes_per_group * data.windows_per_scene * data.passes
        return max(1, windows // self.batch_windows)

    @property
    def n_scenes(self) -> int:
        """Scenes that the whole training draws."""
        return -(-self.steps // self.steps_per_group) * self.data.scenes_per_group

    def check_seeds(self) -> None:
        """Training, validation and test seeds must not meet.

        Raises
        ------
        ConfigError
            They do.
        """
        data, held = self.data, self.validation
        n_held = held.n_scenes
        refuse_test_seeds(data.first_seed, self.n_scenes)
        refuse_test_seeds(held.first_seed, n_held)
        first = max(data.first_seed, held.first_seed)
        last = min(data.first_seed + self.n_scenes, held.first_seed + n_held)
        if first < last:
            raise ConfigError(
                f"Seed {first} would serve training and validation; "
                "move data.first_seed or validation.first_seed."
            )


class TrainConfig(TrainingConfig):
    """All settings of a training of `BubbleNet`."""

    task: Literal["bubblenet"] = setting("bubblenet", "Which network is trained.")
    name: str = setting("bubblenet", "What to call the weights.")
    network: BubbleNetConfig = BubbleNetConfig()
    loss: LossConfig = LossConfig()
    inference: NetworkConfig = NetworkConfig()
