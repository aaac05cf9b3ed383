"""Training of the completion network on crops of one side of a skull, each with a hole."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.vessels.skull.volume import (
    EDGE_MM,
    LATERAL,
    Hole,
    Mask,
    Side,
    coarser,
    draw_holes,
    without,
)
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.networks.volumes.completion import VolumePrediction
from napari_ulm3d.networks.volumes.config import CompletionNetConfig
from napari_ulm3d.networks.volumes.unet import contained, pyramid
from napari_ulm3d.refinement.features import map_features
from napari_ulm3d.refinement.tensor import as_tensor
from napari_ulm3d.sparse import Coordinates, prune
from napari_ulm3d.train.config import OptimizerConfig
from napari_ulm3d.train.volumes.config import (
    CompletionTrainConfig,
    VolumeDataConfig,
    VolumeValidationConfig,
)
from napari_ulm3d.train.volumes.task import LEAST, CompletionTask, Counts, scale_losses
from napari_ulm3d.train.volumes.windows import VolumeWindow
from napari_ulm3d.volumes import VesselMap

__all__ = ["BLOCKS", "RADII", "SkullTask", "settings"]

#: Radii of the holes in voxels of a crop: 2.5 to 5 mm at full resolution.
RADII = (5.0, 10.0)
#: Edges of the voxels of crops, in voxels of the skull: holes of up to 20 mm.
BLOCKS = (1, 2, 4)
_SIDE = 32
_SHIFT = 3
_EDGE_UM = 1000 * EDGE_MM
_VALIDATION = 8_700_000_000


def settings(steps: int) -> CompletionTrainConfig:
    """Sizes and schedule: 4 to 16 channels, four levels."""
    return CompletionTrainConfig(
        name="skull",
        notes=(
            "Trained on holes in one side of one skull, by `python -m benchmarks.vessels skull`.",
        ),
        steps=steps,
        batch_windows=1,
        checkpoint_steps=50,
        log_steps=50,
        device="cpu",
        network=CompletionNetConfig(channels=(4, 8, 12, 16)),
        data=VolumeDataConfig(
            windows_per_scene=4,
            scenes_per_group=8,
            window=_SIDE,
            voxel_um=(_EDGE_UM, BLOCKS[-1] * _EDGE_UM),
        ),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=30, average=0.99),
        validation=VolumeValidationConfig(first_seed=_VALIDATION, every_steps=100, windows=16),
    )


class SkullTask(CompletionTask):
    """Completion of crops with a hole; what counts are the voxels that the crop lacks.

    Parameters
    ----------
    config
        From `settings`.
    skull
        The whole skull.
    side
        The part of it from which all crops are cut, also those for validation.
    blocks
        Edges of the voxels of crops, in voxels of the skull; a scene has one of them.
    """

    def __init__(
        self, config: CompletionTrainConfig, skull: Mask, side: Side, blocks: tuple[int, ...] = (1,)
    ) -> None:
        super().__init__(config)
        # A block across the border of the side belongs to neither.
        self._scales = [(n, coarser(skull, n), (-(-side[0] // n), side[1] // n)) for n in blocks]

    def windows(self, seed: int) -> list[VolumeWindow]:
        rng = np.random.default_rng((seed, 15))
        block, skull, part = self._scales[seed % len(self._scales)]
        holes = draw_holes(skull, part, RADII, seed)
        count = self.config.data.windows_per_scene
        return [
            self._crop(skull, part, hole, rng, block)
            for _, hole in zip(range(count), holes, strict=False)
        ]

    def scenes(self) -> list[tuple[str, VolumeWindow]]:
        if self._scenes is None:
            held = self.config.validation
            first = range(held.first_seed, held.first_seed + held.windows)
            self._scenes = [
                (f"{EDGE_MM * self._scales[seed % len(self._scales)][0]:g}_mm", window)
                for seed in first
                for window in self.windows(seed)[:1]
            ]
        return self._scenes

    def _crop(
        self, skull: Mask, part: Side, hole: Hole, rng: np.random.Generator, block: int
    ) -> VolumeWindow:
        """A cube around a hole, within the training side, in a random orientation."""
        low = np.asarray(hole.centre) - _SIDE // 2 + rng.integers(-_SHIFT, _SHIFT + 1, 3)
        full = np.zeros((_SIDE,) * 3, bool)
        source, target = [], []
        bounds = [(0, n) for n in skull.shape]
        bounds[LATERAL] = part
        for start, (first, stop) in zip(low.tolist(), bounds, strict=True):
            a, b = max(first, start), min(stop, start + _SIDE)
            source.append(slice(a, b))
            target.append(slice(a - start, b - start))
        full[tuple(target)] = skull[tuple(source)]
        z, y, x = (int(c - start) for c, start in zip(hole.centre, low, strict=True))
        cut = without(full, [Hole((z, y, x), hole.radius)])
        order = rng.permutation(3)
        turned = [np.transpose(v, order) for v in (full, cut)]
        for axis in np.flatnonzero(rng.random(3) < 0.5):
            turned = [np.flip(v, axis) for v in turned]
        return _window(*(np.ascontiguousarray(v) for v in turned), block)

    def window_terms(
        self, model: nn.Module, window: VolumeWindow, device: str
    ) -> dict[str, Tensor]:
        """The losses on all voxels, and again on those that the crop lacks.

        Nearly all voxels of the crop are bone already; alone, they would hide the hole.
        """
        x = as_tensor(window.features, device)
        places = np.stack(np.unravel_index(window.target, window.fine.shape), axis=1)
        whole = _coordinates(places, window, device)
        prediction = model(x)
        terms = scale_losses(prediction, whole, edge=1)
        finest = prediction.logits[-1].coordinates
        given = Coordinates(x.indices, finest.shape, 1, finest.stride)
        sets = reversed(pyramid(given, len(prediction.logits)))
        lacking = tuple(
            prune(logit, ~contained(logit.coordinates, known))
            for logit, known in zip(prediction.logits, sets, strict=True)
        )
        missing = _coordinates(places[_missing(window)], window, device)
        new = scale_losses(VolumePrediction(lacking, lacking[-1]), missing, edge=1)
        return terms | {f"new_{name}": term for name, term in new.items()}

    def counts(self, model: nn.Module, window: VolumeWindow, device: str) -> Counts:
        """Correct, predicted and true voxels among those that the crop lacks."""
        out = model(as_tensor(window.features, device)).output
        p = np.zeros(window.fine.shape, np.float32)
        z, y, x = out.indices[:, 1:].cpu().numpy().T
        p[z, y, x] = torch.sigmoid(out.features[:, 0]).cpu().numpy()
        p[tuple(window.features.index.T)] = 0.0
        true = np.zeros(window.fine.shape, bool)
        true.ravel()[window.target[_missing(window)]] = True
        rows = [((p >= least) & true, p >= least) for least in LEAST]
        return np.array([(both.sum(), found.sum(), true.sum()) for both, found in rows], float)


def _window(full: Mask, cut: Mask, block: int) -> VolumeWindow:
    grid = Grid(full.shape, (block * _EDGE_UM,) * 3)
    features = map_features({"density": VesselMap.from_dense("density", cut, grid, "tracks")})
    none = np.zeros(len(features), bool)
    return VolumeWindow(
        features, np.flatnonzero(full.ravel()), grid, none, np.full(len(features), -1, np.int8)
    )


def _missing(window: VolumeWindow) -> NDArray[np.bool_]:
    held = np.ravel_multi_index(tuple(window.features.index.T), window.fine.shape)
    return ~np.isin(window.target, held)


def _coordinates(places: NDArray[np.int64], window: VolumeWindow, device: str) -> Coordinates:
    indices = torch.as_tensor(np.pad(places, ((0, 0), (1, 0))).astype(np.int32))
    return Coordinates.create(indices.to(device), window.fine.shape)[0]
