"""The trainings of the networks on whole volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.networks.volumes.completion import CompletionNet, VolumePrediction
from napari_ulm3d.networks.volumes.segmentation import SegmentationNet
from napari_ulm3d.networks.volumes.superresolution import SuperResolutionNet
from napari_ulm3d.networks.volumes.unet import contained, pyramid
from napari_ulm3d.refine.features import MapFeatures
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.task import Loss
from napari_ulm3d.train.volumes.config import (
    CompletionTrainConfig,
    SegmentationTrainConfig,
    SuperResolutionTrainConfig,
    VolumeTrainConfig,
)
from napari_ulm3d.train.volumes.scenes import draw_flow_scene, turning
from napari_ulm3d.train.volumes.windows import (
    VolumeWindow,
    cut_window,
    place_window,
    volume_windows,
)

__all__ = ["CompletionTask", "SegmentationTask", "SuperResolutionTask", "as_tensor", "scale_losses"]

C = TypeVar("C", bound=VolumeTrainConfig)


class _VolumeTask(Generic[C]):
    """What the three tasks share: windows one by one, validation on held-out scenes."""

    metric = "dice"
    doublings = 0

    def __init__(self, config: C) -> None:
        self.config: C = config
        self._scenes: list[tuple[str, VolumeWindow]] | None = None

    def windows(self, seed: int) -> list[VolumeWindow]:
        return volume_windows(seed, self.config.data, self.doublings)

    def voxels(self, windows: Sequence[VolumeWindow]) -> int:
        return sum(len(window.features) for window in windows)

    def shares(self, windows: Sequence[VolumeWindow]) -> None:
        """Windows go through one after the other: their grids may differ."""

    def loss(
        self, model: nn.Module, windows: Sequence[VolumeWindow], step: int, device: str
    ) -> Loss:
        """Mean over the windows that hold anything."""
        parts = [self.window_terms(model, w, device) for w in windows if len(w.features)]
        terms = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        return Loss(torch.stack(list(terms.values())).sum(), terms)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        """Terms of one window's loss."""
        raise NotImplementedError

    def counts(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> tuple[float, float, float]:
        """(right, predicted, true) voxels of one window."""
        raise NotImplementedError

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float]:
        sums: dict[str, np.ndarray] = {}
        with torch.no_grad():
            for group, window in self.scenes():
                counts = np.array(self.counts(model, window, device))
                sums[group] = sums.get(group, np.zeros(3)) + counts
        scores = {
            f"{self.metric}_{group}": float(2 * c[0] / max(1.0, c[1] + c[2]))
            for group, c in sums.items()
        }
        return {"score": float(np.mean(list(scores.values()))), **scores}

    def scenes(self) -> list[tuple[str, VolumeWindow]]:
        """Group and window of each held-out scene; made once."""
        if self._scenes is None:
            held, data = self.config.validation, self.config.data
            self._scenes = []
            for k in range(held.windows):
                # Every other one of a measured network, which may be none.
                trees = held.trees if k % 2 == 0 else ()
                scene = draw_flow_scene(held.first_seed + k, data, trees)
                for share in held.shares:
                    rng = np.random.default_rng((held.first_seed + k, 13))
                    matrix = turning(rng, data.upright)
                    edge = float(np.mean(data.voxel_um))
                    grid, network, tracks, paths = place_window(
                        scene, share, matrix, edge, data.window, rng
                    )
                    window = cut_window(network, tracks, paths, grid, self.doublings)
                    if len(window.features):
                        self._scenes.append((f"{share:g}", window))
        return self._scenes


class CompletionTask(_VolumeTask[CompletionTrainConfig]):
    """Binary cross entropy at every scale; the score is Dice on the map's own voxels."""

    def network(self) -> nn.Module:
        return CompletionNet(self.config.network)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        target = _target(window, device)
        return scale_losses(model(as_tensor(window.features, device), target), target)

    def counts(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> tuple[float, float, float]:
        return _hits(model(as_tensor(window.features, device)), _target(window, device))


class SuperResolutionTask(_VolumeTask[SuperResolutionTrainConfig]):
    """As completion, on grids that are finer by every doubling that the network knows."""

    def __init__(self, config: SuperResolutionTrainConfig) -> None:
        super().__init__(config)
        self.doublings = config.network.doublings

    def network(self) -> nn.Module:
        return SuperResolutionNet(self.config.network)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        target = _target(window, device)
        prediction = model(as_tensor(window.features, device), self.doublings, target)
        return scale_losses(prediction, target)

    def counts(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> tuple[float, float, float]:
        prediction = model(as_tensor(window.features, device), self.doublings)
        return _hits(prediction, _target(window, device))


class SegmentationTask(_VolumeTask[SegmentationTrainConfig]):
    """Cross entropy of vessel against noise, and of the kind where it is known.

    The score is the Dice coefficient of the vessel voxels; the kinds' share of right voxels
    stands beside it.
    """

    def network(self) -> nn.Module:
        return SegmentationNet(self.config.network)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        out = model(as_tensor(window.features, device))
        vessel = torch.as_tensor(window.vessel, device=device)
        logit = out.vessel.features[:, 0]
        terms = {
            "vessel": functional.binary_cross_entropy_with_logits(logit, vessel.to(logit.dtype))
        }
        kind = torch.as_tensor(window.kind, device=device).long()
        known = kind >= 0
        # Without a known voxel the mean would be NaN: the sum over none is zero.
        terms["kind"] = functional.cross_entropy(
            out.kind.features[known], kind[known], reduction="sum"
        ) / max(1, int(known.sum()))
        return terms

    def counts(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> tuple[float, float, float]:
        found = model(as_tensor(window.features, device)).vessel.features[:, 0].cpu().numpy() > 0
        right = float((found & window.vessel).sum())
        return right, float(found.sum()), float(window.vessel.sum())

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float]:
        scores = super().validate(model, step, device)
        right = known = 0
        with torch.no_grad():
            for _, window in self.scenes():
                kind = model(as_tensor(window.features, device)).kind.features.argmax(1)
                held = window.kind >= 0
                right += int((kind.cpu().numpy()[held] == window.kind[held]).sum())
                known += int(held.sum())
        return {**scores, "kinds_right": right / max(1, known)}


def as_tensor(features: MapFeatures, device: str = "cpu") -> SparseTensor:
    """The network's input of one map."""
    places = torch.as_tensor(features.index)
    indices = functional.pad(places, (1, 0))
    return SparseTensor.create(
        indices.to(device), torch.as_tensor(features.values).to(device), features.grid.shape
    )


def scale_losses(prediction: VolumePrediction, target: Coordinates) -> dict[str, Tensor]:
    """Binary cross entropy with logits at every scale, by the scale's edge in finest voxels."""
    finest = prediction.logits[-1].coordinates
    whole = Coordinates(target.indices, finest.shape, target.batch_size, finest.stride)
    terms = {}
    scales = len(prediction.logits)
    for k, (logit, true) in enumerate(
        zip(reversed(prediction.logits), pyramid(whole, scales), strict=True)
    ):
        exists = contained(logit.coordinates, true).to(logit.features.dtype)
        # Of no voxel the mean would be NaN: the sum over none is zero.
        total = functional.binary_cross_entropy_with_logits(
            logit.features[:, 0], exists, reduction="sum"
        )
        terms[f"scale_{2**k}"] = total / max(1, len(logit))
    return terms


def _target(window: VolumeWindow, device: str) -> Coordinates:
    shape = window.fine.shape
    places = np.stack(np.unravel_index(window.target, shape), axis=1)
    indices = functional.pad(torch.as_tensor(places.astype(np.int32)), (1, 0)).to(device)
    return Coordinates.create(indices, shape)[0]


def _hits(prediction: VolumePrediction, target: Coordinates) -> tuple[float, float, float]:
    found = prediction.output
    c = found.coordinates
    true = Coordinates(target.indices, c.shape, c.batch_size, c.stride)
    return float(contained(c, true).sum()), float(len(found)), float(len(target))
