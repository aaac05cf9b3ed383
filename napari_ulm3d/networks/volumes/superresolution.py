"""Super-resolution: refine a coarse map, one doubling at a time."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.volumes.completion import VolumePrediction
from napari_ulm3d.networks.volumes.config import SuperResolutionNetConfig
from napari_ulm3d.networks.volumes.evidence import Evidence
from napari_ulm3d.networks.volumes.unet import (
    Descent,
    GenerativeAscent,
    padded,
    wanted,
)
from napari_ulm3d.sparse import SparseTensor, prune

__all__ = ["SuperResolutionNet"]


class SuperResolutionNet(nn.Module):
    """A U-Net at the map's own resolution, then doublings, each with its head and pruning.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: SuperResolutionNetConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or SuperResolutionNetConfig()
        self.descent = Descent(c)
        widths = list(c.channels)
        self.ascent = nn.ModuleList(
            GenerativeAscent(widths[k + 1], widths[k], widths[k], c.convolutions, k)
            for k in reversed(range(c.levels))
        )
        fine = [widths[0], *c.fine_channels]
        self.doubling = nn.ModuleList(
            GenerativeAscent(a, 0, b, c.convolutions, -d)
            for d, (a, b) in enumerate(pairwise(fine), start=1)
        )

    def forward(self, x: SparseTensor, doublings: int | None = None) -> VolumePrediction:
        """Predict which voxels exist on a grid 2^doublings times as fine.

        Parameters
        ----------
        x
            `FEATURES` on the axes z, y, x.
        doublings
            Number of doublings of the resolution, from 1; None: all that the network supports.

        Raises
        ------
        ConfigError
            The input has other axes or channels, or the network does not support the doublings.
        """
        run = self.config.doublings if doublings is None else doublings
        if not 1 <= run <= self.config.doublings:
            offered = " or ".join(str(2**d) for d in range(1, self.config.doublings + 1))
            raise ConfigError(
                f"This network refines by {offered}, not by {2**run:g}. "
                "Choose one of these factors."
            )
        shape, levels = x.shape, self.config.levels
        x = padded(x, levels)
        skips = self.descent(x)
        evidence = Evidence(x, levels)
        y, logits = skips[-1], []
        kept = None
        # k counts halvings from the finest requested grid.
        for k, stage in zip(
            reversed(range(levels + run)), [*self.ascent, *self.doubling[:run]], strict=True
        ):
            skip = skips[k - run] if k >= run else None
            limits = (
                [-(-n // 2 ** (k - run)) for n in shape]
                if k >= run
                else [n * 2 ** (run - k) for n in shape]
            )
            y, logit = stage(y, skip, limits, evidence, kept)
            logits.append(logit)
            mask = wanted(logit, self.config.keep)
            y, kept = prune(y, mask), prune(logit, mask)
        assert kept is not None
        return VolumePrediction(tuple(logits), kept)
