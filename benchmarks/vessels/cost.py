"""Processor time and memory of a network, sparse or dense, forward or with a training step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from napari_ulm3d.networks.volumes.config import FEATURES, CompletionNetConfig
from napari_ulm3d.refinement.features import MapFeatures
from napari_ulm3d.refinement.tensor import as_tensor

__all__ = ["KINDS", "cost_of"]

#: What can be measured.
KINDS = ("sparse", "sparse step", "dense", "dense step")


def cost_of(
    network: Any, features: MapFeatures, what: str, small: MapFeatures
) -> tuple[float, float]:
    """Processor seconds, and MB above what the process held before; measure each in a process of its own.

    Parameters
    ----------
    network
        A completion network; for a dense measurement, only its sizes are used.
    features
        The map.
    what
        One of `KINDS`.
    small
        Another map, with which the compiled functions are loaded beforehand.
    """
    make: Callable[[MapFeatures], Any] = as_tensor
    if what.startswith("dense"):
        network, make = _dense(network.config), _filled
    x, warm = make(features), make(small)
    _run(network, warm, what)
    del warm
    _peak_reset()
    before, start = _now_mb(), time.process_time()
    _run(network, x, what)
    return time.process_time() - start, _peak_mb() - before


def _filled(features: MapFeatures) -> torch.Tensor:
    dense = torch.zeros(1, len(FEATURES), *features.grid.shape)
    x = as_tensor(features)
    dense[0][:, *x.indices[:, 1:].long().T] = x.features.T
    return dense


def _dense(c: CompletionNetConfig) -> nn.Module:
    """A U-Net with the same channels on all voxels."""

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            w = list(c.channels)

            def block(a: int, b: int) -> nn.Sequential:
                return nn.Sequential(nn.Conv3d(a, b, 3, padding=1), nn.ELU(inplace=True))

            self.first = nn.Sequential(block(len(FEATURES), w[0]), block(w[0], w[0]))
            self.down = nn.ModuleList(
                nn.Sequential(nn.Conv3d(a, b, 2, 2), nn.ELU(inplace=True), block(b, b))
                for a, b in itertools.pairwise(w)
            )
            self.up = nn.ModuleList(
                nn.ConvTranspose3d(w[k + 1], w[k], 2, 2) for k in reversed(range(c.levels))
            )
            self.merge = nn.ModuleList(
                nn.Sequential(block(2 * w[k], w[k]), block(w[k], w[k]))
                for k in reversed(range(c.levels))
            )
            self.head = nn.Conv3d(w[0], 1, 1)

        def forward(self, x):
            skips = [self.first(x)]
            for down in self.down:
                skips.append(down(skips[-1]))
            y = skips.pop()
            for up, merge in zip(self.up, self.merge, strict=True):
                y = merge(torch.cat([up(y), skips.pop()], 1))
            return self.head(y)

    return Dense()


def _run(network: nn.Module, x, what: str) -> None:
    step = what.endswith("step")
    network.train(step)
    with torch.set_grad_enabled(step):
        out = network(x)
        if step:
            logits = out.logits if hasattr(out, "logits") else ()
            total = (
                sum(each.features.square().mean() for each in logits)
                if logits
                else out.square().mean()
            )
            total.backward()


def _peak_reset() -> None:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def _status(name: str) -> float:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(float(line.split()[1]) / 1024 for line in file if line.startswith(name))


def _now_mb() -> float:
    return _status("VmRSS")


def _peak_mb() -> float:
    return max(_status("VmHWM"), _status("VmRSS"))
