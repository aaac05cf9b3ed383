"""A training's settings from a TOML file, whatever its task."""

from __future__ import annotations

import tomllib
from os import PathLike

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.train.config import TrainConfig, TrainingConfig
from napari_ulm3d.train.mask_config import MaskTrainConfig
from napari_ulm3d.train.trajectory_config import TrajectoryTrainConfig

__all__ = ["TASKS", "read_config"]

TASKS: dict[str, type[TrainingConfig]] = {
    "bubblenet": TrainConfig,
    "trajectory": TrajectoryTrainConfig,
    "mask": MaskTrainConfig,
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
