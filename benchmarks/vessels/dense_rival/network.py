"""The completion network on all voxels: the same levels, channels and prior, nothing pruned."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.networks.registry import architecture
from napari_ulm3d.networks.volumes.completion import VolumePrediction
from napari_ulm3d.networks.volumes.config import FEATURES, CompletionNetConfig
from napari_ulm3d.networks.volumes.evidence import EVIDENCE, Prior
from napari_ulm3d.networks.volumes.unet import padded
from napari_ulm3d.sparse import Coordinates, SparseTensor

__all__ = ["DenseCompletionNet"]

_GAIN, _MOST_LOGIT = 8.0, 8.0
_WEIGHTS = ((1.0,), (1.0, 2.0, 1.0), (1.0, 4.0, 6.0, 4.0, 1.0))


class _ChannelNorm(nn.LayerNorm):
    """Normalization over the channels of each voxel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def _unit(layer: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(layer, _ChannelNorm(channels), nn.ELU(inplace=True))


class _Conv(nn.Conv3d):
    """A convolution of 3 x 3 x 3; on a CPU by oneDNN, where PyTorch takes a slower way for one small volume."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
            return super().forward(x)
        one = (1, 1, 1)
        return torch.mkldnn_convolution(x, self.weight, self.bias, one, one, one, 1)


def _three(before: int, after: int) -> nn.Sequential:
    return _unit(_Conv(before, after, 3, padding=1), after)


class _Ascent(nn.Module):
    """As `GenerativeAscent`, on all voxels."""

    def __init__(self, before: int, after: int, convolutions: int, level: int, kernel: int) -> None:
        super().__init__()
        up = nn.ConvTranspose3d(before, after, kernel, stride=2, padding=(kernel - 2) // 2)
        self.up = _unit(up, after)
        self.merge = _three(2 * after + EVIDENCE, after)
        self.body = nn.Sequential(*(_three(after, after) for _ in range(convolutions)))
        self.head = nn.Conv3d(after, 1, 1)
        self.prior = Prior(level)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, skip: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        y = self.body(self.merge(torch.cat([self.up(x), skip, known], 1)))
        prior = self.prior(known.movedim(1, -1)).movedim(-1, 1)
        return y, self.head(y) + prior


@architecture(CompletionNetConfig)
class DenseCompletionNet(nn.Module):
    """Features of a map to logits of all voxels, at every scale.

    Parameters
    ----------
    config
        Sizes; `keep` has no effect.
    """

    def __init__(self, config: CompletionNetConfig) -> None:
        super().__init__()
        self.config = c = config
        first = c.channels[0]
        self.stem = nn.Sequential(
            _three(len(FEATURES), first), *(_three(first, first) for _ in range(c.convolutions))
        )
        self.down = nn.ModuleList(
            nn.Sequential(
                _unit(nn.Conv3d(a, b, 2, 2), b), *(_three(b, b) for _ in range(c.convolutions))
            )
            for a, b in pairwise(c.channels)
        )
        self.ascent = nn.ModuleList(
            _Ascent(
                c.channels[k + 1],
                c.channels[k],
                c.convolutions,
                k,
                4 if k == c.levels - 1 else 2,
            )
            for k in reversed(range(c.levels))
        )

    def forward(self, x: SparseTensor) -> VolumePrediction:
        """Predict which voxels exist, from sparse features."""
        shape = x.shape
        dense = as_dense(padded(x, self.config.levels))
        logits = [
            _all_voxels(logit, [-(-n // 2**k) for n in shape], 2**k)
            for k, logit in zip(
                reversed(range(self.config.levels)), self.on_dense(dense), strict=True
            )
        ]
        return VolumePrediction(tuple(logits), logits[-1])

    def on_dense(self, x: Tensor) -> list[Tensor]:
        """(1, features, z, y, x) to logits (1, 1, ...), coarse to fine."""
        skips = [self.stem(x)]
        for down in self.down:
            skips.append(down(skips[-1]))
        density = x[:, FEATURES.index("log_density")][:, None]
        y, logits = skips[-1], []
        for stage, skip in zip(self.ascent, reversed(skips[:-1]), strict=True):
            step = x.shape[-1] // skip.shape[-1]
            known = _evidence(_summed(density, step), logits[-1] if logits else None)
            y, logit = stage(y, skip, known)
            logits.append(logit)
        return logits


def as_dense(x: SparseTensor) -> Tensor:
    """(1, channels, z, y, x), zero where there is no voxel."""
    dense = x.features.new_zeros(x.channels, *x.shape)
    dense[(slice(None), *x.indices[:, 1:].long().T)] = x.features.T
    return dense[None]


def _summed(density: Tensor, step: int) -> Tensor:
    return functional.avg_pool3d(density, step) * step**3 if step > 1 else density


def _evidence(density: Tensor, coarser: Tensor | None) -> Tensor:
    """(1, 5, ...): the columns of `networks.volumes.evidence.EVIDENCE`, in all voxels."""
    columns = []
    for weights in _WEIGHTS:
        w = density.new_tensor(weights) / sum(weights)
        kernel = (w[:, None, None] * w[:, None] * w)[None, None]
        mean = functional.conv3d(density, kernel, padding=len(weights) // 2)
        columns.append(torch.log1p(_GAIN * mean))
    if coarser is None:
        columns += [torch.zeros_like(density)] * 2
    else:
        logit = coarser.clamp(-_MOST_LOGIT, _MOST_LOGIT)
        columns += [functional.interpolate(logit, scale_factor=2), torch.ones_like(density)]
    return torch.cat(columns, 1)


def _all_voxels(logit: Tensor, inside: list[int], stride: int) -> SparseTensor:
    """The voxels that are not padding."""
    inner = logit[0, 0][tuple(slice(n) for n in inside)]
    places = functional.pad(torch.ones_like(inner, dtype=torch.bool).nonzero(), (1, 0))
    c = Coordinates(places.to(torch.int32), logit.shape[2:], 1, (Fraction(stride),) * 3)
    return SparseTensor(inner.reshape(-1, 1), c)
