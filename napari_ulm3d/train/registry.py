"""The tasks by name: their settings from a TOML file, and the task that settings describe."""

from __future__ import annotations

import tomllib
from os import PathLike

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.train.config import TrainConfig, TrainingConfig
from napari_ulm3d.train.mask.config import MaskTrainConfig
from napari_ulm3d.train.task import Task
from napari_ulm3d.train.trajectory.config import TrajectoryTrainConfig
from napari_ulm3d.train.volumes.config import (
    CompletionTrainConfig,
    SegmentationTrainConfig,
    SuperResolutionTrainConfig,
)

__all__ = ["TASKS", "make_task", "read_config"]

TASKS: dict[str, type[TrainingConfig]] = {
    "bubblenet": TrainConfig,
    "trajectory": TrajectoryTrainConfig,
    "mask": MaskTrainConfig,
    "complete": CompletionTrainConfig,
    "superres": SuperResolutionTrainConfig,
    "segment": SegmentationTrainConfig,
}


def read_config(path: str | PathLike[str]) -> TrainingConfig:
    """The settings in a file, by the task that it names (`bubblenet` if it names none).

    Raises
    ------
    ConfigError
        No such file, no TOML, an unknown task or setting, or a value out of range.
    """
    try:
        with open(path, "rb") as file:
            task = tomllib.load(file).get("task", "bubblenet")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        task = "bubblenet"  # whose reader tells what is wrong with the file
    if task not in TASKS:
        raise ConfigError(f"{path}: there is no task {task!r}. Set task to {', '.join(TASKS)}.")
    return TASKS[task].from_toml(path)


def make_task(config: TrainingConfig) -> Task:
    """The task that settings describe.

    Raises
    ------
    ConfigError
        Settings of no task.
    """
    if isinstance(config, TrainConfig):
        from napari_ulm3d.train.bubbles.task import BubbleTask

        return BubbleTask(config)
    if isinstance(config, TrajectoryTrainConfig):
        from napari_ulm3d.train.trajectory.task import TrajectoryTask

        return TrajectoryTask(config)
    if isinstance(config, MaskTrainConfig):
        from napari_ulm3d.train.mask.task import MaskTask

        return MaskTask(config)
    if isinstance(config, CompletionTrainConfig):
        from napari_ulm3d.train.volumes.task import CompletionTask

        return CompletionTask(config)
    if isinstance(config, SuperResolutionTrainConfig):
        from napari_ulm3d.train.volumes.task import SuperResolutionTask

        return SuperResolutionTask(config)
    if isinstance(config, SegmentationTrainConfig):
        from napari_ulm3d.train.volumes.task import SegmentationTask

        return SegmentationTask(config)
    raise ConfigError(f"{type(config).__name__} are not the settings of any task.")
