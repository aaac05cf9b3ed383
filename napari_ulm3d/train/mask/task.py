"""The training of the mask network: which voxels of the correlation map are near a bubble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.networks.mask_cnn import MaskCNN
from napari_ulm3d.train.bubbles.windows import window_starts
from napari_ulm3d.train.mask.config import MaskDataConfig, MaskTrainConfig
from napari_ulm3d.train.scenes import (
    CorrelatedScene,
    clutter_for,
    correlate_scene,
    draw_scene,
    validation_settings,
)
from napari_ulm3d.train.task import Loss
from napari_ulm3d.train.trajectory.dice_loss import soft_dice
from napari_ulm3d.train.trajectory.targets import bubble_mask

__all__ = ["MaskTask", "MaskWindow", "mask_windows"]


@dataclass(frozen=True)
class MaskWindow:
    """One sample: frames of the correlation map (t, z, y, x) complex64, and the voxels to keep."""

    frames: NDArray[np.complex64]
    wanted: NDArray[np.bool_]


class MaskTask:
    """Selecting the voxels around bubbles; the score is the Dice coefficient of the mask.

    Parameters
    ----------
    config
        All settings.
    scenes
        Validation windows that replace those from `config`: number of bubbles, window.
    """

    metric = "dice"

    def __init__(
        self, config: MaskTrainConfig, scenes: list[tuple[int | str, MaskWindow]] | None = None
    ) -> None:
        self.config = config
        self._scenes = scenes

    def network(self) -> nn.Module:
        return MaskCNN(self.config.network)

    def windows(self, seed: int) -> list[MaskWindow]:
        return mask_windows(seed, self.config.data)

    def voxels(self, windows: Sequence[MaskWindow]) -> int:
        return sum(window.frames.size for window in windows)

    def shares(self, windows: Sequence[MaskWindow]) -> None:
        """None, because batch statistics are computed over all windows together."""

    def loss(self, model: nn.Module, windows: Sequence[MaskWindow], step: int, device: str) -> Loss:
        """Mean over windows, since planes and volumes do not fit into one tensor."""
        config = self.config.loss
        weight = torch.tensor(config.positive_weight, device=device)
        dice, entropy = [], []
        for window in windows:
            logit = model(_input(window, device))
            wanted = torch.as_tensor(window.wanted[None]).to(device)
            dice.append(soft_dice(torch.sigmoid(logit), wanted))
            entropy.append(
                functional.binary_cross_entropy_with_logits(
                    logit, wanted.to(logit.dtype), pos_weight=weight
                )
            )
        terms = {"dice": torch.stack(dice).mean(), "cross_entropy": torch.stack(entropy).mean()}
        total = config.dice * terms["dice"] + config.cross_entropy * terms["cross_entropy"]
        return Loss(total, terms)

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float]:
        assert isinstance(model, MaskCNN)
        rows: dict[int | str, list[tuple[float, float, float]]] = {}
        for group, window in self.scenes():
            kept = model.mask(_input(window, device))[0].cpu().numpy()
            hit, wanted = float((kept & window.wanted).sum()), float(window.wanted.sum())
            dice = 2 * hit / max(1.0, wanted + float(kept.sum()))
            rows.setdefault(group, []).append((dice, hit / max(1.0, wanted), kept.mean()))
        means = {n: np.mean(row, axis=0) for n, row in rows.items()}
        out = {"score": float(np.mean([mean[0] for mean in means.values()]))}
        for n, mean in means.items():
            names = ("dice", "recall", "share_kept")
            out |= {f"{name}_{n}": float(v) for name, v in zip(names, mean, strict=True)}
        return out

    def scenes(self) -> list[tuple[int | str, MaskWindow]]:
        """Group and one window of each validation scene; created once."""
        if self._scenes is None:
            held, data = self.config.validation, self.config.data
            self._scenes = []
            for group, settings in validation_settings(held):
                clutter = clutter_for(settings, data.clutter, data.filter_without_tissue)
                scene = correlate_scene(settings, clutter=clutter, keep_frames=held.frames)
                window = _window(scene, 0, len(scene.correlation), data)
                self._scenes.append((group, window))
        return self._scenes


def mask_windows(seed: int, config: MaskDataConfig) -> list[MaskWindow]:
    """The windows of one training scene; the same seed gives the same windows.

    Raises
    ------
    ConfigError
        The seed is reserved for test sets.
    """
    if np.random.default_rng((seed, 2)).random() < config.flat_share:
        base = config.random.base
        (z, x), depth = config.flat_shape, base.grid.voxel_um
        flat = base.grid.replace(shape=(z, 1, x), voxel_um=(depth[0], max(depth), depth[2]))
        config = config.replace(random=config.random.replace(base=base.replace(grid=flat)))
    draw = draw_scene(seed, config)
    scene = correlate_scene(draw.config, clutter=draw.clutter, width_factor=draw.width_factor)
    windows = []
    for start in window_starts(config):
        window = _window(scene, start, start + config.window_frames, config)
        if config.flips:
            window = _mirrored(window, draw.rng.random(4) < 0.5)
        windows.append(window)
    return windows


def _window(scene: CorrelatedScene, start: int, stop: int, config: MaskDataConfig) -> MaskWindow:
    wanted = bubble_mask(scene.truth, scene.grid, start, stop - start, config.radius)
    return MaskWindow(scene.correlation[start:stop], wanted)


def _mirrored(window: MaskWindow, axes: NDArray[np.bool_]) -> MaskWindow:
    chosen = tuple(np.flatnonzero(axes).tolist())
    frames = np.flip(window.frames, chosen)
    # Mirroring depth reverses the phase gradient of a bubble.
    frames = frames.conj() if axes[1] else frames
    # Copy rather than only make contiguous: otherwise an axis with one voxel keeps its negative
    # stride, which torch refuses.
    return MaskWindow(frames.copy(), np.flip(window.wanted, chosen).copy())


def _input(window: MaskWindow, device: str) -> Tensor:
    """(1, 2, t, z, y, x)."""
    frames = torch.as_tensor(window.frames)
    return torch.view_as_real(frames).movedim(-1, 0)[None].contiguous().to(device)
