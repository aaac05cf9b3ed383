"""`spots`: a network in one file, as CONTRIBUTING.md says; a filter, and what exceeds a level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from napari_ulm3d.acquisition import Block
from napari_ulm3d.config import StageConfig
from napari_ulm3d.config.base import setting
from napari_ulm3d.device import resolve_device
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.networks.registry import architecture
from napari_ulm3d.networks.shipped import LoadedNetwork, load_weights
from napari_ulm3d.pipeline.localizers.network import NetworkBase, kept_facts, kept_voxels
from napari_ulm3d.pipeline.localizers.protocol import Found
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.tables import Localizations

NAME = "spots"
SETTINGS = ("min_score",)


class SpotsConfig(StageConfig):
    """Sizes of the network."""

    width: int = setting(3, "Side of its filter.", "voxels", ge=1)


@architecture(SpotsConfig)
class Spots(nn.Module):
    """The level of the correlation, filtered."""

    def __init__(self, config: SpotsConfig) -> None:
        super().__init__()
        self.config = config
        self.filter = nn.Conv3d(1, 1, config.width, padding="same")

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.filter(frames.abs()[:, None])[:, 0]


class _Spots(NetworkBase):
    name = NAME
    title = "network of spots"
    architectures = ("Spots",)

    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        return 100.0 * n_kept

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        loaded = load_weights(
            plan.weights[0].path, self.architectures, resolve_device(plan.config.device)
        )
        kept = kept_voxels(block, filtered, plan, stop)
        with torch.inference_mode():
            score = loaded.network(torch.from_numpy(kept.dense()).to(loaded.device)).cpu().numpy()
        at = np.argwhere(score > (plan.config.network.min_score or 0.5))
        found = Localizations.from_arrays(
            at[:, 0] + block.first_frame,
            plan.grid.to_um(at[:, 1:]),
            np.zeros(len(at)),
            score[tuple(at.T)],
            plan.acquisition.rate_hz,
        )
        return Found(found, kept_facts(kept))


LOCALIZER = _Spots()
