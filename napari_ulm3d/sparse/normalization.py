"""Pointwise layers: normalization, 1x1 convolution, activations."""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = ["ELU", "BatchNorm", "ChannelNorm", "Linear", "Pointwise", "ReLU", "Sigmoid"]


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization over the occupied voxels (Ioffe and Szegedy 2015).

    With fewer than two voxels there is no variance; the running statistics are then used,
    even in training, and not updated.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        if self.training and len(x) < 2:
            out = functional.batch_norm(
                x.features,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                False,
                0.0,
                self.eps,
            )
            return x.with_features(out)
        return x.with_features(super().forward(x.features))


class ChannelNorm(nn.LayerNorm):
    """Normalization over the channels of each voxel (Ba, Kiros and Hinton 2016).

    Each voxel is independent of the others. Part of a map therefore gives the same result as the
    whole, and training and inference agree even for very different maps.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))


class Linear(nn.Linear):
    """A 1x1 convolution: the same matrix at every voxel."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))


class Pointwise(nn.Module):
    """Applies any module for rows of features to those of a sparse tensor."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_features(self.module(x.features))


class ELU(nn.ELU):
    """Exponential linear unit (Clevert et al. 2016)."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))


class ReLU(nn.ReLU):
    """Rectified linear unit."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))


class Sigmoid(nn.Sigmoid):
    """Logistic function on the occupied voxels; elsewhere the tensor stays zero."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))
