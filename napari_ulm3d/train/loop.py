"""Training loop of any task: steps, checkpoints, validations, final weights."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.networks.growth import grown
from napari_ulm3d.networks.shipped import find_weights, load_weights
from napari_ulm3d.networks.weights import save_weights
from napari_ulm3d.system.machine import processors
from napari_ulm3d.train.checkpoint import TrainingState, load_state, save_state
from napari_ulm3d.train.config import OptimizerConfig, TrainingConfig
from napari_ulm3d.train.curves import write_csv, write_plot
from napari_ulm3d.train.gradients import batch_gradient
from napari_ulm3d.train.registry import make_task
from napari_ulm3d.train.stream import BatchStream
from napari_ulm3d.train.task import Task

__all__ = ["learning_rate", "new_state", "simulated", "train", "train_step"]

CHECKPOINT = "checkpoint.safetensors"

# Settings that may change when a training is resumed, without changing its result.
_FREE = ("device", "checkpoint_steps", "log_steps", "notes", "inference")

# Sizes in which the network to start from may be smaller.
_GROWS = {"time_kernel", "per_voxel", "moving_levels"}


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Linear warm-up, then `config.schedule`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "drops":
        return float(config.learning_rate * 0.1 ** sum(step >= d * steps for d in config.drops))
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def new_state(task: Task, device: str = "cpu") -> TrainingState:
    """Network and optimizer at the start, initialized from the seed or from `config.start`.

    Raises
    ------
    ConfigError, InputError
        The weights to start from are missing, or those of another network.
    """
    config = task.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = task.network()
    if config.start is not None:
        _load_start(model, config.start)
    model = model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.optimizer.learning_rate,
        weight_decay=config.optimizer.weight_decay,
    )
    return TrainingState(
        model, copy.deepcopy(model), optimizer, config=config.model_dump(mode="json")
    )


def _load_start(model: torch.nn.Module, start: str) -> None:
    path = find_weights(start, start)
    loaded = load_weights(path, (type(model).__name__,)).network
    given: Any = loaded.config
    wanted: Any = model.config
    state = grown(loaded.state_dict(), model.state_dict())
    alike = given.model_dump(exclude=_GROWS) == wanted.model_dump(exclude=_GROWS)
    if state is None or not alike:
        raise ConfigError(
            f"{path}: this network has other sizes than the one to train. Set [network] as in "
            "its card (time_kernel, per_voxel and moving_levels may be larger), or leave `start` out."
        )
    model.load_state_dict(state)


def train_step(
    state: TrainingState, windows: Sequence[Any], task: Task, device: str = "cpu"
) -> dict[str, float]:
    """Perform one optimizer step on a batch; returns the loss and its terms."""
    config = task.config
    model, rate = state.model, learning_rate(state.step, config.steps, config.optimizer)
    row = {"step": float(state.step + 1), "rate": rate, "voxels": float(task.voxels(windows))}
    if row["voxels"]:
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        model.train()
        loss = batch_gradient(task, model, windows, state.step, device)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip)
        if not bool(norm.isfinite()):
            raise ConfigError(
                f"The gradient at step {state.step + 1} is not finite. Train with a lower "
                "optimizer.learning_rate."
            )
        state.optimizer.step()
        row |= {"loss": float(loss.total)}
        row |= {name: float(term) for name, term in loss.terms.items()}
    state.step += 1
    _average(state, config.optimizer.average)
    return row


@torch.no_grad()
def _average(state: TrainingState, decay: float) -> None:
    # Early on, a long memory would retain the random initial weights.
    decay = min(decay, state.step / (state.step + 9.0))
    pairs = zip(state.average.parameters(), state.model.parameters(), strict=True)
    for mean, new in pairs:
        mean.lerp_(new, 1 - decay)
    # Batch norm: running statistics are averaged, too; its counter is copied.
    for kept, latest in zip(state.average.buffers(), state.model.buffers(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(latest, 1 - decay)
        else:
            kept.copy_(latest)


def train(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = False,
    max_minutes: float | None = None,
    say: Callable[[str], None] = print,
    task: Task | None = None,
    stream: BatchStream | None = None,
) -> TrainingState:
    """Start or resume a training.

    Writes to `out`: ``train.json`` (settings), ``log.txt``, ``checkpoint.safetensors``,
    ``curve.csv``, ``validation.csv``, ``curves.png``, and at each better validation
    ``<name>.safetensors``, the averaged weights with their card. On a CPU, with the same library
    versions and number of threads, a training that was stopped and resumed gives bit-identical
    results; on CUDA, the order of some sums varies.

    Parameters
    ----------
    config
        All settings. To resume, they must match the checkpoint (except `device`,
        `checkpoint_steps`, `log_steps`, `notes` and `inference`).
    out
        Folder of the training.
    resume
        Continue from the checkpoint in `out`.
    max_minutes
        Stop after this time, with a checkpoint; None: train to the end.
    say
        Called with each line of the log.
    task, stream
        Task and batches that replace those from `config`.

    Returns
    -------
    TrainingState

    Raises
    ------
    ConfigError
        Overlapping seeds, settings that differ from the checkpoint, or a non-finite gradient.
    ResultsError
        `out` already contains a training and `resume` is not set.
    InputError
        There is no usable checkpoint to resume from.
    """
    config.check_seeds()
    device = resolve_device(config.device)
    task = task or make_task(config)
    state = new_state(task, device)
    checkpoint = out / CHECKPOINT
    if resume:
        load_state(checkpoint, state)
        _same_settings(state.config, config)
    elif checkpoint.exists():
        raise ResultsError(
            f"{out}: already contains a training. Continue with --resume, or name another folder."
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "train.json").write_text(json.dumps(state.config, indent=2) + "\n", encoding="utf-8")

    def log(line: str) -> None:
        with open(out / "log.txt", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        say(line)

    n_weights = sum(p.numel() for p in state.model.parameters())
    log(f"{n_weights} weights on {device}, step {state.step} of {config.steps}")
    began, before = time.perf_counter(), state.seconds
    with stream or _stream(config, task, device) as batches:
        while state.step < config.steps:
            row = train_step(state, batches.batch(state.step), task, device)
            state.seconds = before + time.perf_counter() - began
            step = state.step
            if step % config.log_steps == 0 and "loss" in row:
                state.curve.append(row)
                log(_line(row, state.seconds))
            last = step == config.steps
            if step % config.validation.every_steps == 0 or last:
                _validate(state, task, out, device, log)
                state.seconds = before + time.perf_counter() - began
            late = max_minutes is not None and time.perf_counter() - began > 60 * max_minutes
            if late and not state.validations:
                # Even a short training leaves weights and a card. The state is copied, so that a
                # resumed training continues as if it had not been stopped.
                _validate(copy.deepcopy(state), task, out, device, log)
            if step % config.checkpoint_steps == 0 or last or late:
                save_state(checkpoint, state)
                write_csv(out / "curve.csv", state.curve)
            if late and not last:
                log(f"stopped after {max_minutes:g} minutes at step {step}; continue with --resume")
                break
    return state


def _stream(config: TrainingConfig, task: Task, device: str) -> BatchStream:
    """Batches: simulated by one process per core for a GPU, by threads for a CPU."""
    if device == "cpu":
        return BatchStream(config, task.windows)
    return BatchStream(config, partial(simulated, config), processes=processors())


@lru_cache(maxsize=1)
def _task_of(settings: str, kind: type[TrainingConfig]) -> Task:
    return make_task(kind.from_dict(json.loads(settings)))


def simulated(config: TrainingConfig, seed: int) -> list[Any]:
    """The windows of a scene; can be called in any process."""
    return _task_of(json.dumps(config.model_dump(mode="json")), type(config)).windows(seed)


def _validate(
    state: TrainingState, task: Task, out: Path, device: str, log: Callable[[str], None]
) -> None:
    config, average = task.config, state.average
    average.eval()
    scores = task.validate(average, state.step, device)
    if scores is None:
        log(f"step {state.step}: no validation before the last stage of the network is trained")
        return
    state.validations.append({"step": float(state.step), **scores})
    log(f"step {state.step} validation: " + ", ".join(f"{k} {v:.4g}" for k, v in scores.items()))
    if not scores["score"] <= state.best_score:  # NaN before the first validation
        state.best_score, state.best_step = scores["score"], state.step
        state.best = {name: value.clone() for name, value in average.state_dict().items()}
        save_weights(
            out / f"{config.name}.safetensors", average, **_facts(state, config, scores, device)
        )
    write_csv(out / "validation.csv", state.validations)
    write_plot(out / "curves.png", state.curve, state.validations, task.metric)


def _facts(
    state: TrainingState, config: TrainingConfig, scores: dict[str, float], device: str
) -> dict[str, Any]:
    """Contents of the card other than the network."""
    notes = config.notes
    if state.step < config.steps:
        notes = (*notes, f"Weights of step {state.step} of a training with {config.steps} steps.")
    return {
        "name": config.name,
        "data": config.model_dump(mode="json", exclude={"network", "name", "notes", "device"}),
        "seed": config.seed,
        "steps": state.step,
        "hours": round(state.seconds / 3600, 4),
        "device": torch.cuda.get_device_name(0) if device == "cuda" else "cpu",
        "scores": scores,
        "notes": notes,
    }


def _same_settings(stored: dict[str, Any], config: TrainingConfig) -> None:
    try:
        # Settings added later had their default values at that time.
        before = type(config).from_dict(stored)
    except ConfigError as error:
        raise ConfigError(
            f"The training to resume has another task or version ({error}). Start again in "
            "another folder."
        ) from error
    for name in type(config).model_fields:
        if name not in _FREE and getattr(config, name) != getattr(before, name):
            raise ConfigError(
                f"The setting {name} differs from that of the training to resume. Give its "
                "settings (train.json), or start again in another folder."
            )


def _line(row: dict[str, float], seconds: float) -> str:
    terms = " ".join(
        f"{name} {value:.3f}"
        for name, value in row.items()
        if name not in ("step", "rate", "voxels")
    )
    return f"step {row['step']:.0f} ({seconds / 60:.1f} min): {terms}, {row['voxels']:.0f} voxels"
