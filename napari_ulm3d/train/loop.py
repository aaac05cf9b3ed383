"""The training of `BubbleNet`: steps, checkpoints, validations, final weights."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.networks.bubblenet_input import collate
from napari_ulm3d.networks.weights import save_weights
from napari_ulm3d.train.checkpoint import TrainingState, load_state, save_state
from napari_ulm3d.train.config import OptimizerConfig, TrainConfig
from napari_ulm3d.train.curves import write_csv, write_plot
from napari_ulm3d.train.data import Window
from napari_ulm3d.train.losses import batch_targets, bubble_loss
from napari_ulm3d.train.stream import BatchStream
from napari_ulm3d.train.validate import ValidationScene, validate, validation_scenes

__all__ = ["learning_rate", "new_state", "train", "train_step"]

CHECKPOINT = "checkpoint.safetensors"

# What may differ between the pieces of one training without changing its result.
_FREE = ("device", "checkpoint_steps", "log_steps")


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the highest rate."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def new_state(config: TrainConfig, device: str = "cpu") -> TrainingState:
    """Network and optimizer at the start, drawn by the training's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = BubbleNet(config.network)
    model = model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.optimizer.learning_rate,
        weight_decay=config.optimizer.weight_decay,
    )
    return TrainingState(
        model, copy.deepcopy(model), optimizer, config=config.model_dump(mode="json")
    )


def train_step(
    state: TrainingState, windows: list[Window], config: TrainConfig, device: str = "cpu"
) -> dict[str, float]:
    """One step of the optimizer on a batch; the loss and its terms."""
    blocks = [window.block for window in windows]
    model, rate = state.model, learning_rate(state.step, config.steps, config.optimizer)
    row = {"step": float(state.step + 1), "rate": rate, "voxels": float(sum(map(len, blocks)))}
    if row["voxels"]:
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        targets = batch_targets(
            [window.targets for window in windows],
            [len(block) for block in blocks],
            blocks[0].shape[0],
            device,
        )
        model.train()
        total, terms = bubble_loss(model(collate(blocks, device)), targets, config.loss)
        state.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip)
        if not bool(norm.isfinite()):
            raise ConfigError(
                f"The gradient at step {state.step + 1} is not finite. "
                "Train with a lower optimizer.learning_rate."
            )
        state.optimizer.step()
        row |= {"loss": float(total.detach())}
        row |= {name: float(term.detach()) for name, term in terms.items()}
    state.step += 1
    _average(state, config.optimizer.average)
    return row


@torch.no_grad()
def _average(state: TrainingState, decay: float) -> None:
    # Early on a long memory would hold on to the random start.
    decay = min(decay, state.step / (state.step + 9.0))
    pairs = zip(state.average.parameters(), state.model.parameters(), strict=True)
    for mean, new in pairs:
        mean.lerp_(new, 1 - decay)


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    say: Callable[[str], None] = print,
    scenes: list[ValidationScene] | None = None,
    stream: BatchStream | None = None,
) -> TrainingState:
    """Train, or go on with a training.

    Writes into `out`: ``train.json`` (settings), ``log.txt``, ``checkpoint.safetensors``,
    ``curve.csv``, ``validation.csv``, ``curves.png``, and with each better validation
    ``<name>.safetensors``, the averaged weights with their card. A training that was stopped
    and goes on ends with the same bits as one that was not, on a CPU with the same library
    versions and number of threads; on CUDA some sums are taken in an order that varies.

    Parameters
    ----------
    config
        All settings. To resume, they must be those of the checkpoint (but for `device`,
        `checkpoint_steps` and `log_steps`).
    out
        The training's folder.
    resume
        Go on from the checkpoint in `out`.
    max_minutes
        Stop after so long, with a checkpoint; None: train to the end.
    say
        Gets each line of the log.
    scenes, stream
        Validation scenes and batches, instead of those that `config` describes.

    Returns
    -------
    TrainingState

    Raises
    ------
    ConfigError
        Seeds that meet, settings unlike the checkpoint's, or a gradient that is not finite.
    ResultsError
        There is a training in `out` already and `resume` is not set.
    InputError
        There is no usable checkpoint to resume.
    """
    config.check_seeds()
    device = resolve_device(config.device)
    state = new_state(config, device)
    checkpoint = out / CHECKPOINT
    if resume:
        load_state(checkpoint, state)
        _same_settings(state.config, config)
    elif checkpoint.exists():
        raise ResultsError(f"{out}: holds a training. Go on with --resume, or name another folder.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "train.json").write_text(json.dumps(state.config, indent=2) + "\n", encoding="utf-8")

    def log(line: str) -> None:
        with open(out / "log.txt", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        say(line)

    n_weights = sum(p.numel() for p in state.model.parameters())
    log(f"{n_weights} weights on {device}, step {state.step} of {config.steps}")
    began, before = time.perf_counter(), state.seconds
    with stream or BatchStream(config) as batches:
        while state.step < config.steps:
            row = train_step(state, batches.batch(state.step), config, device)
            state.seconds = before + time.perf_counter() - began
            step = state.step
            if step % config.log_steps == 0 and "loss" in row:
                state.curve.append(row)
                log(_line(row, state.seconds))
            last = step == config.steps
            if step % config.validation.every_steps == 0 or last:
                scenes = scenes or validation_scenes(config.validation, config.data)
                _validate(state, scenes, config, out, device, log)
                state.seconds = before + time.perf_counter() - began
            late = max_minutes is not None and time.perf_counter() - began > 60 * max_minutes
            if step % config.checkpoint_steps == 0 or last or late:
                save_state(checkpoint, state)
                write_csv(out / "curve.csv", state.curve)
            if late and not last:
                log(f"stopped after {max_minutes:g} minutes at step {step}; go on with --resume")
                break
    return state


def _validate(
    state: TrainingState,
    scenes: list[ValidationScene],
    config: TrainConfig,
    out: Path,
    device: str,
    log: Callable[[str], None],
) -> None:
    average = state.average
    assert isinstance(average, BubbleNet)
    scores = validate(average, scenes, config.inference, device)
    state.validations.append({"step": float(state.step), **scores})
    log(f"step {state.step} validation: " + ", ".join(f"{k} {v:.4g}" for k, v in scores.items()))
    if not scores["score"] <= state.best_score:  # the first one's best is NaN
        state.best_score, state.best_step = scores["score"], state.step
        state.best = {name: value.clone() for name, value in average.state_dict().items()}
        save_weights(
            out / f"{config.name}.safetensors", average, **_facts(state, config, scores, device)
        )
    write_csv(out / "validation.csv", state.validations)
    write_plot(out / "curves.png", state.curve, state.validations)


def _facts(
    state: TrainingState, config: TrainConfig, scores: dict[str, float], device: str
) -> dict[str, Any]:
    """What the card says besides the network."""
    notes: tuple[str, ...] = ()
    if state.step < config.steps:
        notes = (f"Weights of step {state.step} of a training of {config.steps} steps.",)
    return {
        "name": config.name,
        "data": config.model_dump(mode="json", exclude={"network", "name", "device"}),
        "seed": config.seed,
        "steps": state.step,
        "hours": round(state.seconds / 3600, 4),
        "device": torch.cuda.get_device_name(0) if device == "cuda" else "cpu",
        "scores": scores,
        "notes": notes,
    }


def _same_settings(stored: dict[str, Any], config: TrainConfig) -> None:
    given = config.model_dump(mode="json")
    for name in given:
        if name not in _FREE and given[name] != stored.get(name):
            raise ConfigError(
                f"The setting {name} is not that of the training to resume. "
                "Give its settings (train.json), or start anew in another folder."
            )


def _line(row: dict[str, float], seconds: float) -> str:
    terms = " ".join(
        f"{name} {value:.3f}"
        for name, value in row.items()
        if name not in ("step", "rate", "voxels")
    )
    return f"step {row['step']:.0f} ({seconds / 60:.1f} min): {terms}, {row['voxels']:.0f} voxels"
