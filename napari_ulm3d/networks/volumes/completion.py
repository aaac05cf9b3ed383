"""Completion: predict the vessel voxels of a full acquisition from a map of few tracks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from napari_ulm3d.networks.volumes.config import CompletionNetConfig
from napari_ulm3d.networks.volumes.evidence import Evidence
from napari_ulm3d.networks.volumes.unet import (
    Descent,
    GenerativeAscent,
    padded,
    wanted,
)
from napari_ulm3d.sparse import SparseTensor, prune

__all__ = ["CompletionNet", "VolumePrediction"]


@dataclass(frozen=True)
class VolumePrediction:
    """Predicted voxels at every scale.

    Attributes
    ----------
    logits
        1 channel each, coarse to fine: all candidate voxels at that scale.
    output
        The finest logits on the kept voxels.
    """

    logits: tuple[SparseTensor, ...]
    output: SparseTensor


class CompletionNet(nn.Module):
    """Features of a map's voxels to logits of these voxels and of new ones around them.

    New voxels are generated next to voxels of the coarsest level, so predictions extend at most
    about one such voxel beyond the measured ones.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: CompletionNetConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or CompletionNetConfig()
        self.descent = Descent(c)
        widths = list(c.channels)
        self.ascent = nn.ModuleList(
            GenerativeAscent(
                widths[k + 1],
                widths[k],
                widths[k],
                c.convolutions,
                k,
                4 if k == c.levels - 1 else 2,
            )
            for k in reversed(range(c.levels))
        )

    def forward(self, x: SparseTensor) -> VolumePrediction:
        """Predict which voxels exist.

        Parameters
        ----------
        x
            `FEATURES` on the axes z, y, x.

        Raises
        ------
        ConfigError
            The input has other axes or channels.
        """
        shape, levels = x.shape, self.config.levels
        x = padded(x, levels)
        skips = self.descent(x)
        evidence = Evidence(x, levels)
        y, logits = skips[-1], []
        kept = None
        for k, stage in zip(reversed(range(levels)), self.ascent, strict=True):
            y, logit = stage(y, skips[k], [-(-n // 2**k) for n in shape], evidence, kept)
            logits.append(logit)
            mask = wanted(logit, self.config.keep)
            y, kept = prune(y, mask), prune(logit, mask)
        assert kept is not None
        return VolumePrediction(tuple(logits), kept)
