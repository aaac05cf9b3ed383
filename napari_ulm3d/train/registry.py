"""Tasks by name: reading their settings from TOML, and creating the task."""

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
    """Read settings from a file, for the task that it names (default `bubblenet`).

    Raises
    ------
    ConfigError
        The file is missing or not TOML, or has an unknown task or setting, or a value out of range.
    """
    try:
        with open(path, "rb") as file:
            task = tomllib.load(file).get("task", "bubblenet")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        task = "bubblenet"  # its reader reports what is wrong with the file
    if task not in TASKS:
        raise ConfigError(f"{path}: there is no task {task!r}. Set task to {', '.join(TASKS)}.")
    return TASKS[task].from_toml(path)


def make_task(config: TrainingConfig) -> Task:
    """Create the task for these settings.

    Raises
    ------
    ConfigError
        The settings belong to no task.
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
