"""Training of the paper's networks, dense and sparse, cascaded or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_ulm3d.evaluate import set_dice
from napari_ulm3d.networks.deepstulm import DeepSTULM
from napari_ulm3d.networks.registry import build
from napari_ulm3d.networks.sparse_deepstulm import SparseDeepSTULM
from napari_ulm3d.sparse import SparseTensor
from napari_ulm3d.train.scenes import clutter_for, correlate_scene, validation_settings
from napari_ulm3d.train.task import Loss
from napari_ulm3d.train.trajectory.config import TrajectoryTrainConfig
from napari_ulm3d.train.trajectory.loss import (
    Target,
    dense_trajectory_loss,
    right_target,
    sparse_trajectory_loss,
)
from napari_ulm3d.train.trajectory.targets import trajectory_volume
from napari_ulm3d.train.trajectory.windows import (
    TrajectoryWindow,
    keeper,
    scene_windows,
    training_windows,
)

__all__ = ["TrajectoryTask", "network_input", "predicted_volume"]

_BINARY = 0.5


class TrajectoryTask:
    """Predicting volumes of trajectories from frames of the correlation map.

    The score is the mean over bubble numbers of one Dice coefficient each: the outputs for a
    scene's windows are binarized, summed and compared with all trajectories in the scene.

    Parameters
    ----------
    config
        All settings.
    scenes
        Validation windows that replace those from `config`: number of bubbles, and the
        windows of one scene.
    target
        Creates the targets of the heads and the output.
    """

    metric = "dice"

    def __init__(
        self,
        config: TrajectoryTrainConfig,
        scenes: list[tuple[int | str, list[TrajectoryWindow]]] | None = None,
        target: Target = right_target,
    ) -> None:
        self.config = config
        self._scenes = scenes
        self._target = target
        self._keep = keeper(config.data)

    def network(self) -> nn.Module:
        return build(self.config.architecture, self.config.network)

    def windows(self, seed: int) -> list[TrajectoryWindow]:
        config = self.config
        return training_windows(seed, config.data, config.network.upsampling, self._keep)

    def voxels(self, windows: Sequence[TrajectoryWindow]) -> int:
        return sum(len(window.frames) for window in windows)

    def shares(self, windows: Sequence[TrajectoryWindow]) -> None:
        """None, because batch statistics are computed over all windows together."""

    def loss(
        self, model: nn.Module, windows: Sequence[TrajectoryWindow], step: int, device: str
    ) -> Loss:
        config = self.config
        truth = [window.truth for window in windows]
        x = network_input(windows, device)
        if config.sparse:
            prediction = model(x, stages=config.stages(step))
            return sparse_trajectory_loss(prediction, truth, config.loss, self._target)
        volumes = [trajectory_volume(t, config.network.upsampling) for t in truth]
        target = torch.as_tensor(np.stack(volumes)[:, None]).to(device)
        return dense_trajectory_loss(model(x.dense()), target, config.loss)

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float] | None:
        if self.config.stages(step) < self.config.network.doublings:
            return None
        found: dict[int | str, list[float]] = {}
        for group, windows in self.scenes():
            score = set_dice(self._volumes(model, windows, device), _BINARY)
            found.setdefault(group, []).append(score)
        means = {n: float(np.nan_to_num(scores).mean()) for n, scores in found.items()}
        return {
            "score": float(np.mean(list(means.values()))),
            **{f"dice_{n}": mean for n, mean in means.items()},
        }

    def scenes(self) -> list[tuple[int | str, list[TrajectoryWindow]]]:
        """Group and windows of each validation scene; created once."""
        if self._scenes is None:
            held, data = self.config.validation, self.config.data
            size = data.window_frames
            self._scenes = []
            for group, settings in validation_settings(held):
                clutter = clutter_for(settings, data.clutter, data.filter_without_tissue)
                scene = correlate_scene(settings, clutter=clutter, keep_frames=held.frames)
                n_frames = len(scene.correlation)
                windows = scene_windows(
                    scene,
                    list(range(0, max(1, n_frames - size + 1), size)),
                    min(size, n_frames),
                    upsampling=self.config.network.upsampling,
                    keep=self._keep,
                    threshold=held.threshold,
                )
                self._scenes.append((group, windows))
        return self._scenes

    def _volumes(
        self, model: nn.Module, windows: list[TrajectoryWindow], device: str
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        for window in windows:
            truth = trajectory_volume(window.truth, self.config.network.upsampling)
            yield predicted_volume(model, window, device), truth


def predicted_volume(
    model: nn.Module, window: TrajectoryWindow, device: str = "cpu"
) -> NDArray[np.float32]:
    """Prediction for one window: probabilities (1, z, x) or (1, z, y, x) at its resolution.

    Parameters
    ----------
    model
        `SparseDeepSTULM` or `DeepSTULM`, in evaluation mode, on `device`.
    window
        If no voxel was kept, the result is zero.
    """
    up = cast(SparseDeepSTULM | DeepSTULM, model).config.upsampling
    if not len(window.frames):
        return np.zeros((1, *(n * up for n in window.truth.shape[1:])), np.float32)
    x = network_input([window], device)
    with torch.inference_mode():
        if isinstance(model, DeepSTULM):
            return model(x.dense())[0, 0].cpu().numpy()
        output = model(x).output
        return output.dense()[0, 0].cpu().numpy()


def network_input(windows: Sequence[TrajectoryWindow], device: str = "cpu") -> SparseTensor:
    """Windows as a batch, without y if the ground truth has none."""
    flat = len(windows[0].truth.shape) == 3
    return SparseTensor.from_frames([w.frames for w in windows], flat=flat, device=device)
