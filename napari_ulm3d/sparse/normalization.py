"""Layers that work on each voxel by itself: normalization, 1x1 convolution, activations."""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = ["ELU", "BatchNorm", "ChannelNorm", "Linear", "Pointwise", "ReLU", "Sigmoid"]


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization over the voxels that are there (Ioffe and Szegedy 2015).

    Of fewer than two voxels no variance can be had: then the running statistics serve, in
    training too, and stay as they are.
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
    """Normalization over the channels of each voxel by itself (Ba, Kiros and Hinton 2016).

    A voxel's value depends on no other one's, so that a part of a map gives what the whole
    gives, and training sees what use will see, however unlike the maps are.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))


class Linear(nn.Linear):
    """A 1x1 convolution: the same matrix at every voxel."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))


class Pointwise(nn.Module):
    """Any module that works on rows of features, applied to those of a sparse tensor."""

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
    """Logistic function of the kept voxels; elsewhere the tensor stays zero."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        return x.with_features(super().forward(x.features))
