"""Sparse and dense completion networks after equally short trainings.

The dense network has the same levels, channels, number of weights and prior, and is trained with
the same windows, loss, optimizer and number of steps; see `benchmarks.vessels.dense_rival.network`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.vessels.complete import SHARES, Mask, counts, dice
from benchmarks.vessels.dense_rival.network import DenseCompletionNet
from benchmarks.vessels.scenes import TEST, Scene, scenes
from napari_ulm3d.networks.volumes.completion import CompletionNet
from napari_ulm3d.networks.volumes.config import CompletionNetConfig
from napari_ulm3d.refinement.features import map_features
from napari_ulm3d.refinement.tensor import as_tensor
from napari_ulm3d.train.config import OptimizerConfig
from napari_ulm3d.train.loop import train
from napari_ulm3d.train.volumes.config import (
    CompletionTrainConfig,
    VolumeDataConfig,
    VolumeValidationConfig,
)
from napari_ulm3d.train.volumes.task import CompletionTask

__all__ = ["table"]

_SCENES = 24
_KINDS: dict[str, Callable[[CompletionNetConfig], nn.Module]] = {
    "sparse": CompletionNet,
    "dense": DenseCompletionNet,
}


def table(out: Path, steps: int, count: int, trees: Sequence[str], minutes: float | None) -> None:
    """Train both in folders of `out` (windows are kept in `out`/bank), and print the test scores.

    A training is stopped after `minutes`, and goes on the next time.
    """
    trained = {}
    for kind in _KINDS:
        resume = (out / kind / "checkpoint.safetensors").exists()
        settings, task = _settings(kind, out, steps), _Task(kind, out, steps)
        state = train(settings, out / kind, resume=resume, max_minutes=minutes, task=task)
        state.average.load_state_dict(state.best)
        at_best = next(v for v in state.validations if v["step"] == state.best_step)
        trained[kind] = (state.average.eval(), at_best["least"])
        print(f"{kind}: {state.step} of {steps} steps in {state.seconds / 60:.0f} min; validation Dice "
              f"{state.best_score:.3f} at step {state.best_step}, from {at_best['least']:g}")  # fmt: skip
    test = scenes(TEST, count, trees, SHARES)
    print(
        "\n| Dice at 20 um | " + " | ".join(f"{s:.0%}" for s in SHARES) + " | far off | seconds |"
    )
    print("| --- |" + " ---: |" * (len(SHARES) + 2))
    for kind, (network, least) in trained.items():
        for label, names in (("density alone", ("density",)), ("with speeds", None)):
            began = time.process_time()
            sums = {share: np.zeros(7) for share in SHARES}
            for scene in test:
                found = _found(network, scene, least, names)
                sums[scene.share] += counts(found, scene.true)
            took = (time.process_time() - began) / len(test)
            total = sum(sums.values())
            numbers = " | ".join(f"{dice(c):.3f}" for c in sums.values())
            print(
                f"| {kind}, {label} | {numbers} | {total[4] / max(1, total[3]):.1%} | {took:.2f} |"
            )


class _Task(CompletionTask):
    def __init__(self, kind: str, out: Path, steps: int) -> None:
        super().__init__(_settings(kind, out, steps))
        self._kind = kind

    def network(self) -> nn.Module:
        return _KINDS[self._kind](self.config.network)


def _settings(kind: str, out: Path, steps: int) -> CompletionTrainConfig:
    """As `train/configs/complete.toml`, shorter and on fewer scenes, in 3-D alone."""
    return CompletionTrainConfig(
        name=kind,
        steps=steps,
        batch_windows=1,
        log_steps=100,
        device="cpu",
        network=CompletionNetConfig(channels=(12, 16, 24, 32), convolutions=1),
        data=VolumeDataConfig(
            windows_per_scene=8,
            scenes_per_group=10,
            bank=str(out / "bank"),
            bank_scenes=_SCENES,
            acquired=(0.02, 1.0),
            window=40,
            crop=24,
            flat_share=0.0,
        ),
        optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=50, average=0.99),
        validation=VolumeValidationConfig(
            first_seed=8_500_000_000, every_steps=200, windows=6, shares=(0.03, 0.1, 0.3, 1.0)
        ),
    )


@torch.no_grad()
def _found(network: nn.Module, scene: Scene, least: float, names: Sequence[str] | None) -> Mask:
    x = as_tensor(map_features({name: scene.maps[name] for name in names or scene.maps}))
    out = network(x).output
    mask = np.zeros(scene.true.shape, bool)
    kept = torch.sigmoid(out.features[:, 0]) >= least
    mask[tuple(out.indices[kept][:, 1:].numpy().T)] = True
    return mask
