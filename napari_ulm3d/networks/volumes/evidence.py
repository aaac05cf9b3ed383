"""Prior logits of the networks from a smoothed map.

A network that completes a map should not first have to learn that a voxel near many tracks
is more likely than one far from any. Each head therefore adds its output to a linear
function of the map's log density in the voxel, its means over 3 and 5 voxels, and the
logit of the next coarser scale. Before training this is the baseline to beat: a smoothed
map with a threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ulm3d.networks.volumes.config import FEATURES
from napari_ulm3d.sparse import Coordinates, SparseTensor, convolve, kernel_map

__all__ = ["EVIDENCE", "Evidence", "Prior"]

#: Columns of `Evidence.at`: density in the voxel, over 3 and 5 voxels, logit of the coarser scale,
#: and whether there is one.
EVIDENCE = 5
_GAIN = 8.0
_MOST_LOGIT = 8.0
# Logistic regressions on training windows, by scale from the map's own voxels to coarser ones.
_FITTED: tuple[tuple[float, ...], ...] = (
    (0.85, 3.0, -3.4, 0.7, 2.0),
    (0.68, 2.9, -3.6, 0.56, -0.2),
    (0.56, 2.1, -2.7, 0.0, 0.0),
)
_BIAS = (-4.6, -1.8, -0.54)


class Evidence:
    """The density of a map at all scales.

    Parameters
    ----------
    x
        Input of the network, on a padded grid.
    levels
        Number of halvings of the resolution.
    """

    def __init__(self, x: SparseTensor, levels: int) -> None:
        column = FEATURES.index("log_density")
        scales = [x.with_features(x.features[:, column : column + 1])]
        for _ in range(levels):
            scales.append(_halved(scales[-1]))
        self._scales = scales

    def at(self, voxels: Coordinates, level: int, coarser: SparseTensor | None = None) -> Tensor:
        """(n, 5) evidence at voxels.

        Parameters
        ----------
        voxels
            Voxels on the grid of a level.
        level
            Number of halvings of the map's resolution; negative: doublings.
        coarser
            Logits at the next coarser scale.
        """
        if level >= 0:
            scale = self._scales[level]
            columns = [_spread(scale, voxels, weights) for weights in _MEANS]
        else:
            columns = [_interpolated(self._scales[0], voxels, -level)]
            columns.append(_interpolated(_smoothed(self._scales[0], 3), voxels, -level))
            columns.append(_interpolated(_smoothed(self._scales[0], 5), voxels, -level))
        columns = [torch.log1p(_GAIN * column) for column in columns]
        if coarser is None:
            nothing = torch.zeros_like(columns[0])
            return torch.cat([*columns, nothing, nothing], dim=1)
        logit = coarser.with_features(coarser.features.clamp(-_MOST_LOGIT, _MOST_LOGIT))
        there = coarser.with_features(torch.ones_like(coarser.features))
        return torch.cat([*columns, _repeated(logit, voxels), _repeated(there, voxels)], dim=1)


class Prior(nn.Linear):
    """Logits from evidence, initialized with a logistic regression.

    Parameters
    ----------
    level
        Number of halvings of the map's resolution; negative: doublings.
    """

    def __init__(self, level: int) -> None:
        super().__init__(EVIDENCE, 1)
        k = min(max(level, 0), len(_FITTED) - 1)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([_FITTED[k]]))
            self.bias.fill_(_BIAS[k])


def _kernel(*one: float) -> Tensor:
    w = torch.tensor(one) / sum(one)
    return (w[:, None, None] * w[:, None] * w)[None, ..., None]


_MEANS = (torch.ones(1, 1, 1, 1, 1), _kernel(1, 2, 1), _kernel(1, 4, 6, 4, 1))


def _applied(
    x: SparseTensor, voxels: Coordinates, weights: Tensor, stride: int, padding: int
) -> Tensor:
    """Transposed convolution of one channel onto given voxels."""
    kernel = tuple(weights.shape[1:-1])
    pairs = kernel_map(voxels, x.coordinates, kernel, (stride,) * 3, (padding,) * 3)
    given = weights.to(x.features)
    return convolve(x.features, given, None, pairs, True, x.backend)


def _spread(x: SparseTensor, voxels: Coordinates, weights: Tensor) -> Tensor:
    return _applied(x, voxels, weights, 1, weights.shape[1] // 2)


def _smoothed(x: SparseTensor, width: int) -> SparseTensor:
    c = x.coordinates
    kernel, one, half = (width,) * 3, (1, 1, 1), (width // 2,) * 3
    wide = c.coarsen(kernel, one, half, c.shape)
    return x.with_coordinates(_spread(x, wide, _MEANS[width // 2]), wide)


def _interpolated(x: SparseTensor, voxels: Coordinates, doublings: int) -> Tensor:
    """Trilinear interpolation, with zeros outside the existing voxels."""
    step = 2**doublings
    at = (torch.arange(2 * step) + 0.5) / step - 1
    w = 1 - at.abs()
    weights = (w[:, None, None] * w[:, None] * w)[None, ..., None]
    return _applied(x, voxels, weights, step, step // 2)


def _repeated(x: SparseTensor, voxels: Coordinates) -> Tensor:
    return _applied(x, voxels, torch.ones(1, 2, 2, 2, 1), 2, 0)


def _halved(x: SparseTensor) -> SparseTensor:
    """Sums over blocks of 2 x 2 x 2."""
    two, none = (2, 2, 2), (0, 0, 0)
    half = tuple(n // 2 for n in x.shape)
    target = x.coordinates.coarsen(two, two, none, half)
    pairs = kernel_map(x.coordinates, target, two, two, none)
    weights = torch.ones(1, 2, 2, 2, 1).to(x.features)
    return x.with_coordinates(convolve(x.features, weights, None, pairs, False, x.backend), target)
