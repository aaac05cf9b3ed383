"""The parts of a generative sparse U-Net, shared by the three tasks.

After Li et al. (Sci. Rep. 13:20229, 2023): convolutions of stride 2 down; transposed
convolutions that generate voxels up; skips that join the two sets of voxels; and a 1x1
convolution at every scale that decides which voxels exist, while the others are pruned. Our own
choices: normalization over each voxel's channels, ELU, the number of convolutions per
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
    """Submanifold convolutions of 3 x 3 x 3, each with norm and activation."""
    return nn.Sequential(
        *(unit(SubmanifoldConv(channels, channels, _THREE), channels) for _ in range(times))
    )


def padded(x: SparseTensor, levels: int) -> SparseTensor:
    """The same voxels on a grid whose sides can be halved `levels` times.

    Raises
    ------
    ConfigError
        The input has other axes or channels.
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
    """(n,) bool: which voxels of one set are in another, on grids of equal shape."""
    keys, known = voxels.keys(), among.keys()
    if not len(known):
        return torch.zeros(len(keys), dtype=torch.bool, device=keys.device)
    at = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
    return known[at] == keys


def pyramid(target: Coordinates, scales: int) -> list[Coordinates]:
    """A set of voxels and `scales` - 1 coarser ones, each at half the resolution; finest first."""
    sets = [target]
    for _ in range(scales - 1):
        fine = sets[-1]
        half = tuple(n // 2 for n in fine.shape)
        sets.append(fine.coarsen(_TWO, _TWO, (0, 0, 0), half))
    return sets


def inside(x: SparseTensor, shape: Sequence[int]) -> SparseTensor:
    """The voxels within `shape`, without those in the padding."""
    if tuple(shape) == x.shape:
        return x
    limits = torch.tensor(tuple(shape), device=x.device)
    return prune(x, (x.indices[:, 1:] < limits).all(1))


def wanted(logit: SparseTensor, keep: float) -> Tensor:
    """(n,) bool: voxels with a probability above `keep`.

    Li et al. also keep the target's voxels during training. Below an unlikely voxel, the network
    would then see only true children, learn to accept all such children, and invent vessels
    when used without a target.
    """
    return logit.features.detach()[:, 0] > math.log(keep / (1 - keep))


class Descent(nn.Module):
    """Encoder: features on voxels to one tensor per level, finest first."""

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
    """Doubles the resolution: generates voxels, merges the skip, and predicts which voxels exist.

    Parameters
    ----------
    before, skip, after
        Channels of the input, the skip (0: none) and the output.
    convolutions
        Number of convolutions after the merging one.
    level
        Number of halvings of the map's resolution; negative: doublings.
    kernel
        Size of the transposed convolution: 2 generates a voxel's eight children, 4 also their
        neighbours.
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
        # Initially the output is the prior alone.
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
