"""Choose which weights of a training are scored: those of its best validation, or the last."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from benchmarks.paper.variants import Variant
from napari_ulm3d.networks.weights import load_network, save_weights
from napari_ulm3d.train.checkpoint import read_average, read_progress
from napari_ulm3d.train.loop import CHECKPOINT
from napari_ulm3d.train.trajectory.config import TrajectoryTrainConfig
from napari_ulm3d.train.trajectory.task import TrajectoryTask

__all__ = ["choose_weights", "trained_weights"]

SCENES = 6
"""Scenes per number of bubbles; the trainings themselves validate on one, which is noisy."""
FIRST_SEED = 8_000_020_000
"""First seed, used neither in training, nor in the trainings' validation, nor in tests."""


def trained_weights(variant: Variant, cache: Path) -> Path:
    """Weights of the best validation, as written by the training."""
    return cache / variant.name / f"{variant.config.name}.safetensors"


def choose_weights(variant: Variant, cache: Path, device: str) -> Path:
    """Choose the better weights on more validation scenes than the training could afford.

    The choice is made once and stored with the training, with both scores in the card.

    Parameters
    ----------
    variant
        A trained trajectory network.
    cache
        Folder of the trainings.
    device
        Device to use.
    """
    best = trained_weights(variant, cache)
    chosen, checkpoint = best.with_name("chosen.safetensors"), best.with_name(CHECKPOINT)
    newest = max(best.stat().st_mtime, checkpoint.stat().st_mtime)
    if chosen.is_file() and chosen.stat().st_mtime >= newest:
        return chosen
    config = variant.config
    assert isinstance(config, TrajectoryTrainConfig)
    held = config.validation.replace(scenes=SCENES, first_seed=FIRST_SEED)
    task = TrajectoryTask(config.replace(validation=held), target=variant.target)
    network, card = load_network(best, device)
    step, _ = read_progress(checkpoint)
    of_best = {name: value.clone() for name, value in network.state_dict().items()}
    scores = {"best": _score(task, network, step, device)}
    network.load_state_dict(read_average(checkpoint))
    scores["last"] = _score(task, network, step, device)
    facts = card.model_dump(exclude={"architecture", "config", "weights_sha256", "scores"})
    if scores["last"] < scores["best"]:
        network.load_state_dict(of_best)
    else:
        facts |= {"steps": step, "notes": ("The last weights of the training.",)}
    save_weights(chosen, network, **facts, scores=scores)
    print(
        f"{variant.name}: validation {scores['best']:.3f} at step {card.steps}, "
        f"{scores['last']:.3f} at the end",
        flush=True,
    )
    return chosen


def _score(task: TrajectoryTask, network: nn.Module, step: int, device: str) -> float:
    scores = task.validate(network, step, device)
    assert scores is not None
    return scores["score"]
