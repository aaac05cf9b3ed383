"""The training of `BubbleNet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.networks.bubblenet_input import collate
from napari_ulm3d.train.bubbles.loss import batch_targets, bubble_loss
from napari_ulm3d.train.bubbles.validate import ValidationScene, validate, validation_scenes
from napari_ulm3d.train.bubbles.windows import Window, training_windows
from napari_ulm3d.train.config import TrainConfig
from napari_ulm3d.train.task import Loss

__all__ = ["BubbleTask"]


class BubbleTask:
    """Localization of bubbles on kept voxels; the score is the mean Jaccard index (`validate`).

    Parameters
    ----------
    config
        All settings.
    scenes
        Validation scenes that replace those from `config`.
    """

    metric = "jaccard"

    def __init__(self, config: TrainConfig, scenes: list[ValidationScene] | None = None) -> None:
        self.config = config
        self._scenes = scenes

    def network(self) -> nn.Module:
        return BubbleNet(self.config.network)

    def windows(self, seed: int) -> list[Window]:
        return training_windows(seed, self.config.data, self.config.network.per_voxel)

    def voxels(self, windows: Sequence[Window]) -> int:
        return sum(len(window.block) for window in windows)

    def shares(self, windows: Sequence[Window]) -> list[float]:
        """Shares by the number of bubbles plus a hundredth of the voxels, as in `bubble_loss`."""
        sizes = [len(w.targets) + 0.01 * len(w.block) for w in windows]
        return [size / sum(sizes) for size in sizes]

    def loss(self, model: nn.Module, windows: Sequence[Window], step: int, device: str) -> Loss:
        blocks = [window.block for window in windows]
        targets = batch_targets(
            [window.targets for window in windows],
            [len(block) * self.config.network.per_voxel for block in blocks],
            blocks[0].shape[0],
            device,
        )
        total, terms = bubble_loss(model(collate(blocks, device)), targets, self.config.loss)
        return Loss(total, terms)

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float]:
        if self._scenes is None:
            self._scenes = validation_scenes(self.config.validation, self.config.data)
        return validate(cast(BubbleNet, model), self._scenes, self.config.inference, device)
