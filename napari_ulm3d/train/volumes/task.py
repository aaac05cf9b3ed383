"""Training tasks of the networks on whole volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.networks.volumes.completion import CompletionNet, VolumePrediction
from napari_ulm3d.networks.volumes.segmentation import SegmentationNet
from napari_ulm3d.networks.volumes.superresolution import SuperResolutionNet
from napari_ulm3d.networks.volumes.unet import contained, pyramid
from napari_ulm3d.refinement.tensor import as_tensor
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.task import Loss
from napari_ulm3d.train.volumes.bank import scene_windows
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
)

__all__ = ["CompletionTask", "SegmentationTask", "SuperResolutionTask", "scale_losses"]

# Weight of the overlap relative to the cross entropies, and its smoothing in number of blocks.
_OVERLAP, _SMALL = 2.0, 50.0

C = TypeVar("C", bound=VolumeTrainConfig)
Counts = NDArray[np.float64]

#: Probability thresholds tested in validation; the best is stored in the card of the weights.
LEAST = (0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)


class _VolumeTask(Generic[C]):
    """Base class of the three tasks: windows one by one, validation on held-out scenes."""

    metric = "dice"
    doublings = 0

    def __init__(self, config: C) -> None:
        self.config: C = config
        self._scenes: list[tuple[str, VolumeWindow]] | None = None

    def windows(self, seed: int) -> list[VolumeWindow]:
        return scene_windows(seed, self.config.data, self.doublings)

    def voxels(self, windows: Sequence[VolumeWindow]) -> int:
        return sum(len(window.features) for window in windows)

    def shares(self, windows: Sequence[VolumeWindow]) -> None:
        """None: windows are computed one after the other, since their grids may differ."""

    def loss(
        self, model: nn.Module, windows: Sequence[VolumeWindow], step: int, device: str
    ) -> Loss:
        """Mean over the non-empty windows."""
        parts = [self.window_terms(model, w, device) for w in windows if len(w.features)]
        terms = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        return Loss(torch.stack(list(terms.values())).sum(), terms)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        """Terms of the loss of one window."""
        raise NotImplementedError

    def counts(self, model: nn.Module, window: VolumeWindow, device: str) -> Counts:
        """(correct, predicted, true) voxels of one window at each threshold in `LEAST`."""
        raise NotImplementedError

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float]:
        """Dice coefficient of each group at the best common threshold, and this threshold."""
        sums: dict[str, Counts] = {}
        with torch.no_grad():
            for group, window in self.scenes():
                counts = self.counts(model, window, device)
                sums[group] = sums.get(group, np.zeros_like(counts)) + counts
        by_group = {group: _dice(counts) for group, counts in sums.items()}
        mean = np.mean(list(by_group.values()), axis=0)
        best = int(np.argmax(mean))
        return {
            "score": float(mean[best]),
            **{f"{self.metric}_{group}": float(dice[best]) for group, dice in by_group.items()},
            "least": LEAST[best],
        }

    def scenes(self) -> list[tuple[str, VolumeWindow]]:
        """Group and window of each held-out scene; created once."""
        if self._scenes is None:
            held, data = self.config.validation, self.config.data
            self._scenes = []
            for k in range(held.windows):
                # Every other scene uses a measured network, if there is one.
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
    """Binary cross entropy at every scale; the score is the Dice coefficient of 2 x 2 x 2 blocks."""

    def network(self) -> nn.Module:
        return CompletionNet(self.config.network)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        target = _target(window, device)
        return scale_losses(model(as_tensor(window.features, device)), target)

    def counts(self, model: nn.Module, window: VolumeWindow, device: str) -> Counts:
        return _hits(model(as_tensor(window.features, device)), _target(window, device))


class SuperResolutionTask(_VolumeTask[SuperResolutionTrainConfig]):
    """As completion, on grids that are finer by every doubling that the network knows.

    Voxel against voxel: that a vessel crosses a block of fine voxels is known from the coarse map.
    """

    def __init__(self, config: SuperResolutionTrainConfig) -> None:
        super().__init__(config)
        self.doublings = config.network.doublings

    def network(self) -> nn.Module:
        return SuperResolutionNet(self.config.network)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        target = _target(window, device)
        prediction = model(as_tensor(window.features, device), self.doublings)
        return scale_losses(prediction, target, edge=1)

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float]:
        """Dice for each factor at its own best threshold, ``least_x2``, ``least_x4``, ..."""
        sums: dict[int, dict[str, Counts]] = {}
        with torch.no_grad():
            for group, window in self.scenes():
                x = as_tensor(window.features, device)
                scales = pyramid(_target(window, device), self.doublings)
                for d, true in enumerate(reversed(scales), start=1):
                    counts = _hits(model(x, d), true, edge=1)
                    groups = sums.setdefault(2**d, {})
                    groups[group] = groups.get(group, np.zeros_like(counts)) + counts
        scores: dict[str, float] = {"score": 0.0}
        for factor, groups in sums.items():
            by_group = {name: _dice(counts) for name, counts in groups.items()}
            best = int(np.argmax(np.mean(list(by_group.values()), axis=0)))
            scores |= {f"dice_x{factor}_{name}": float(d[best]) for name, d in by_group.items()}
            scores[f"least_x{factor}"] = LEAST[best]
            mean = float(np.mean([d[best] for d in by_group.values()]))
            scores["score"] += mean / len(sums)
        return scores


class SegmentationTask(_VolumeTask[SegmentationTrainConfig]):
    """Cross entropy of vessel against noise, and of the kind where known.

    The score is the Dice coefficient of the vessel voxels; the share of voxels with the correct
    kind is reported too.
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
        # Without known voxels the mean would be NaN, but the sum is zero.
        terms["kind"] = functional.cross_entropy(
            out.kind.features[known], kind[known], reduction="sum"
        ) / max(1, int(known.sum()))
        return terms

    def counts(self, model: nn.Module, window: VolumeWindow, device: str) -> Counts:
        out = model(as_tensor(window.features, device)).vessel.features[:, 0]
        return _counted(torch.sigmoid(out).cpu().numpy(), window.vessel, float(window.vessel.sum()))

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


def scale_losses(
    prediction: VolumePrediction, target: Coordinates, edge: int = 2
) -> dict[str, Tensor]:
    """Binary cross entropy at every scale, named by its edge in finest voxels, and block overlap.

    `edge` is the side of the blocks in finest voxels.
    """
    finest = prediction.logits[-1].coordinates
    whole = Coordinates(target.indices, finest.shape, target.batch_size, finest.stride)
    terms = {}
    scales = len(prediction.logits)
    for k, (logit, true) in enumerate(
        zip(reversed(prediction.logits), pyramid(whole, scales), strict=True)
    ):
        exists = contained(logit.coordinates, true).to(logit.features.dtype)
        # Without voxels the mean would be NaN, but the sum is zero.
        total = functional.binary_cross_entropy_with_logits(
            logit.features[:, 0], exists, reduction="sum"
        )
        terms[f"scale_{2**k}"] = total / max(1, len(logit))
    terms["overlap"] = _OVERLAP * _block_overlap(prediction.logits[-1], whole, edge)
    return terms


def _block_overlap(logit: SparseTensor, true: Coordinates, edge: int) -> Tensor:
    """1 - soft Dice of cubic blocks, each with the highest probability of its voxels.

    A vessel may certainly cross a block without any of its voxels being likely. Cross
    entropy alone leaves such blocks empty; this term counts a block as found with any voxel.
    """
    if not len(logit):
        return logit.features.sum()
    block_edges = torch.tensor((1, edge, edge, edge), device=logit.device)
    shape = tuple(-(-n // edge) for n in logit.shape)

    def blocks(voxels: Coordinates) -> Tensor:
        parents = torch.div(voxels.indices, block_edges, rounding_mode="floor").to(torch.int32)
        return Coordinates(parents, shape, voxels.batch_size, voxels.stride).keys()

    keys, block = torch.unique(blocks(logit.coordinates), return_inverse=True)
    found = torch.sigmoid(logit.features[:, 0])
    most = found.new_zeros(len(keys)).scatter_reduce(0, block, found, "amax")
    wanted = torch.unique(blocks(true))
    common = most[torch.isin(keys, wanted)].sum()
    return 1 - (2 * common + _SMALL) / (most.sum() + len(wanted) + _SMALL)


def _target(window: VolumeWindow, device: str) -> Coordinates:
    shape = window.fine.shape
    places = np.stack(np.unravel_index(window.target, shape), axis=1)
    indices = functional.pad(torch.as_tensor(places.astype(np.int32)), (1, 0)).to(device)
    return Coordinates.create(indices, shape)[0]


def _hits(prediction: VolumePrediction, target: Coordinates, edge: int = 2) -> Counts:
    """Correct, found and true cubic blocks of `edge` voxels at each threshold in `LEAST`."""
    found = prediction.output
    c = found.coordinates
    half = np.array([1, edge, edge, edge])
    keys = np.ravel_multi_index((c.indices.cpu().numpy() // half)[:, 1:].T, c.shape)
    true = np.unique(np.ravel_multi_index((target.indices.cpu().numpy() // half)[:, 1:].T, c.shape))
    blocks, block = np.unique(keys, return_inverse=True)
    most = np.zeros(blocks.size)
    np.maximum.at(most, block, torch.sigmoid(found.features[:, 0]).cpu().numpy())
    return _counted(most, np.isin(blocks, true), true.size)


def _dice(counts: Counts) -> NDArray[np.float64]:
    return 2 * counts[:, 0] / np.maximum(1.0, counts[:, 1] + counts[:, 2])


def _counted(p: NDArray[Any], hit: NDArray[np.bool_], n_true: float) -> Counts:
    rows = [((p >= least) & hit, p >= least) for least in LEAST]
    return np.array([(both.sum(), found.sum(), n_true) for both, found in rows], float)
