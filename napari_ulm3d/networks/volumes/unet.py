"""The parts of a generative sparse U-Net, shared by the three tasks.

After Li et al. (Sci. Rep. 13:20229, 2023): convolutions of stride 2 lead down; transposed
convolutions that make new voxels lead up; a skip joins the two sets of voxels; a 1x1
convolution at every scale says which voxels exist, and the others are pruned. Choices of this
implementation: normalization over each voxel's channels, ELU, the number of convolutions a
level, and logits that start from a smoothed map (`networks.volumes.evidence`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.volumes.config import FEATURES, VolumeNetConfig
from napari_ulm3d.networks.volumes.evidence import EVIDENCE, Evidence, Prior
from napari_ulm3d.sparse import (
    ELU,
    ChannelNorm,
    Coordinates,
    Linear,
    SparseConv,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
    concatenate,
    prune,
)

__all__ = [
    "Descent",
    "GenerativeAscent",
    "contained",
    "convolved",
    "inside",
    "padded",
    "pyramid",
    "unit",
    "wanted",
]

_TWO, _THREE = (2, 2, 2), (3, 3, 3)


def unit(layer: nn.Module, channels: int) -> nn.Sequential:
    """A layer, its norm and ELU."""
    return nn.Sequential(layer, ChannelNorm(channels), ELU(inplace=True))


def convolved(channels: int, times: int) -> nn.Sequential:
    """Submanifold convolutions of 3 x 3 x 3, each with its norm and activation."""
    return nn.Sequential(
        *(unit(SubmanifoldConv(channels, channels, _THREE), channels) for _ in range(times))
    )


def padded(x: SparseTensor, levels: int) -> SparseTensor:
    """The same voxels on a grid whose sides halve evenly `levels` times.

    Raises
    ------
    ConfigError
        Other axes or channels than these networks read.
    """
    if x.ndim != 3 or x.channels != len(FEATURES):
        raise ConfigError(
            f"This network reads {len(FEATURES)} channels on 3 axes (z, y, x), and the tensor has "
            f"{x.channels} on {x.ndim}. Give a map with one voxel along y for 2-D data."
        )
    step = 2**levels
    shape = tuple(-(-n // step) * step for n in x.shape)
    c = x.coordinates
    return x.with_coordinates(x.features, Coordinates(c.indices, shape, c.batch_size, c.stride))


def contained(voxels: Coordinates, among: Coordinates) -> Tensor:
    """(n,) bool: which voxels of one set are among those of another, on grids of one shape."""
    keys, known = voxels.keys(), among.keys()
    if not len(known):
        return torch.zeros(len(keys), dtype=torch.bool, device=keys.device)
    at = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
    return known[at] == keys


def pyramid(target: Coordinates, scales: int) -> list[Coordinates]:
    """A set of voxels and `scales` - 1 coarser ones, each half as fine; finest first."""
    sets = [target]
    for _ in range(scales - 1):
        fine = sets[-1]
        half = tuple(n // 2 for n in fine.shape)
        sets.append(fine.coarsen(_TWO, _TWO, (0, 0, 0), half))
    return sets


def inside(x: SparseTensor, shape: Sequence[int]) -> SparseTensor:
    """The voxels within the first `shape` of a grid: what lies in the padding is dropped."""
    if tuple(shape) == x.shape:
        return x
    limits = torch.tensor(tuple(shape), device=x.device)
    return prune(x, (x.indices[:, 1:] < limits).all(1))


def wanted(logit: SparseTensor, keep: float) -> Tensor:
    """(n,) bool: voxels likelier than `keep`.

    Li et al. keep those of the target besides while they train. Under an unlikely voxel the
    network then sees true children alone, takes all such children for true, and invents vessels
    as soon as it works without a target.
    """
    return logit.features.detach()[:, 0] > math.log(keep / (1 - keep))


class Descent(nn.Module):
    """From features on voxels to one tensor a level, finest first."""

    def __init__(self, c: VolumeNetConfig) -> None:
        super().__init__()
        first = c.channels[0]
        self.stem = unit(SubmanifoldConv(len(FEATURES), first, _THREE), first)
        self.first = convolved(first, c.convolutions)
        self.down = nn.ModuleList(
            nn.Sequential(
                unit(SparseConv(a, b, _TWO, stride=2, padding=0), b), convolved(b, c.convolutions)
            )
            for a, b in pairwise(c.channels)
        )

    def forward(self, x: SparseTensor) -> list[SparseTensor]:
        levels = [self.first(self.stem(x))]
        for down in self.down:
            levels.append(down(levels[-1]))
        return levels


class GenerativeAscent(nn.Module):
    """Twice the resolution: new voxels about each one, the skip's voxels, and who exists.

    Parameters
    ----------
    before, skip, after
        Channels below, of the skip (0: there is none) and above.
    convolutions
        After the one that merges.
    level
        Halvings of the map's own resolution; negative: doublings.
    kernel
        Side of the transposed convolution: 2 makes a voxel's eight children, 4 their neighbours
        as well.
    """

    def __init__(
        self,
        before: int,
        skip: int,
        after: int,
        convolutions: int,
        level: int,
        kernel: int = 2,
    ) -> None:
        super().__init__()
        self.level = level
        self.up = unit(SparseTransposedConv(before, after, (kernel,) * 3, stride=2), after)
        self.merge = unit(SubmanifoldConv(after + skip + EVIDENCE, after, _THREE), after)
        self.body = convolved(after, convolutions)
        self.head = Linear(after, 1)
        self.prior = Prior(level)
        # At first the prior speaks alone.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        x: SparseTensor,
        skip: SparseTensor | None,
        shape: Sequence[int],
        evidence: Evidence,
        coarser: SparseTensor | None,
    ) -> tuple[SparseTensor, SparseTensor]:
        """Features, and the logit that a voxel exists, on all voxels within `shape`."""
        y = self.up(x)
        if skip is not None:
            y = concatenate([y, skip], join="union")
        y = inside(y, shape)
        known = evidence.at(y.coordinates, self.level, coarser)
        y = self.body(self.merge(y.with_features(torch.cat([y.features, known], dim=1))))
        logit = self.head(y).features + self.prior(known)
        return y, y.with_features(logit)
