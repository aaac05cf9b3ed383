"""State of a training as one safetensors file: tensors, and everything else in its header."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_ulm3d.errors import InputError
from napari_ulm3d.system.atomic import atomic_path

__all__ = ["TrainingState", "load_state", "read_average", "read_progress", "save_state"]

_KEY = "napari_ulm3d_training"
_REMEDY = "Start the training again in another folder."


@dataclass
class TrainingState:
    """Everything needed to continue a training with bit-identical results.

    No random state is stored: all random numbers follow from the seeds and the step.

    Attributes
    ----------
    model, average
        The trained network, and the running mean of its weights.
    optimizer
        Optimizer of `model`.
    step
        Number of completed steps.
    seconds
        Time spent on these steps.
    best_score, best_step
        From the best validation; NaN and -1 before the first one.
    best
        The averaged weights at that step, by name; empty before the first validation.
    curve, validations
        One row per log line, and one per validation.
    config
        Settings of the training, as plain values.
    """

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best_score: float = float("nan")
    best_step: int = -1
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


_FACTS = ("step", "seconds", "best_score", "best_step", "curve", "validations", "config")


def save_state(path: str | PathLike[str], state: TrainingState) -> None:
    """Write a checkpoint; it appears complete or not at all.

    Raises
    ------
    ResultsError
        The file cannot be written.
    """
    from safetensors.torch import save_file

    tensors = {
        **{f"model.{name}": value for name, value in state.model.state_dict().items()},
        **{f"average.{name}": value for name, value in state.average.state_dict().items()},
        **{f"best.{name}": value for name, value in state.best.items()},
    }
    for index, slots in state.optimizer.state_dict()["state"].items():
        for name, value in slots.items():
            tensors[f"optimizer.{index}.{name}"] = value
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    facts = json.dumps({name: getattr(state, name) for name in _FACTS})
    with atomic_path(path) as partial:
        save_file(plain, partial, {_KEY: facts})


def read_progress(path: str | PathLike[str]) -> tuple[int, float]:
    """Number of steps in a checkpoint, and their time in seconds; zeros without a checkpoint."""
    from safetensors import safe_open

    if not Path(path).is_file():
        return 0, 0.0
    with safe_open(str(path), framework="pt") as file:
        facts = json.loads(file.metadata()[_KEY])
    return int(facts["step"]), float(facts["seconds"])


def read_average(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The averaged weights at the last step of a checkpoint, by name."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118
        return {name.removeprefix("average."): file.get_tensor(name) for name in names}


def load_state(path: str | PathLike[str], state: TrainingState) -> None:
    """Load a checkpoint into a new state (with the same network and optimizer).

    Raises
    ------
    InputError
        The file is missing, damaged, from another program, or for another network.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(path, "is not a checkpoint", "Leave --resume out to start the training.")
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(path, f"is not a complete checkpoint ({error})", _REMEDY) from error

    def part(prefix: str) -> dict[str, Tensor]:
        skip = len(prefix)
        return {name[skip:]: t for name, t in tensors.items() if name.startswith(prefix)}

    try:
        state.model.load_state_dict(part("model."))
        state.average.load_state_dict(part("average."))
    except RuntimeError as error:
        raise InputError(path, "contains another network", _REMEDY) from error
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    state.best = part("best.")
    for name in _FACTS:
        setattr(state, name, facts[name])
