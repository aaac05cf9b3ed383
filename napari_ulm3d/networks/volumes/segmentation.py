"""Segmentation: classify the voxels of a map as vessel or noise, and by kind of vessel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from napari_ulm3d.networks.volumes.config import SegmentationNetConfig
from napari_ulm3d.networks.volumes.evidence import EVIDENCE, Evidence
from napari_ulm3d.networks.volumes.unet import Descent, convolved, padded, unit
from napari_ulm3d.sparse import InverseConv, Linear, SparseTensor, SubmanifoldConv, concatenate

__all__ = ["SegmentationNet", "SegmentationPrediction"]

_TWO, _THREE = (2, 2, 2), (3, 3, 3)


@dataclass(frozen=True)
class SegmentationPrediction:
    """Classification of a map's voxels.

    Attributes
    ----------
    vessel
        1 channel: logit of vessel against noise.
    kind
        One channel per kind (artery, capillary, vein): logits, the largest of which wins.
    """

    vessel: SparseTensor
    kind: SparseTensor


class SegmentationNet(nn.Module):
    """The U-Net without new voxels: every transposed convolution returns to the skip's voxels.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: SegmentationNetConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or SegmentationNetConfig()
        self.descent = Descent(c)
        widths = list(c.channels)
        order = list(reversed(range(c.levels)))
        self.up = nn.ModuleList(
            InverseConv(widths[k + 1], widths[k], _TWO, stride=2, padding=0) for k in order
        )
        self.merge = nn.ModuleList(
            nn.Sequential(
                unit(SubmanifoldConv(2 * widths[k], widths[k], _THREE), widths[k]),
                convolved(widths[k], c.convolutions),
            )
            for k in order
        )
        self.vessel = Linear(widths[0] + EVIDENCE, 1)
        self.kind = Linear(widths[0], c.kinds)

    def forward(self, x: SparseTensor) -> SegmentationPrediction:
        """Classify each voxel.

        Parameters
        ----------
        x
            `FEATURES` on the axes z, y, x.

        Raises
        ------
        ConfigError
            The input has other axes or channels.
        """
        x = padded(x, self.config.levels)
        skips = self.descent(x)
        y = skips[-1]
        for k, up, merge in zip(
            reversed(range(self.config.levels)), self.up, self.merge, strict=True
        ):
            y = merge(concatenate([up(y, skips[k]), skips[k]]))
        known = Evidence(x, 0).at(y.coordinates, 0)
        both = y.with_features(torch.cat([y.features, known], dim=1))
        return SegmentationPrediction(self.vessel(both), self.kind(y))
