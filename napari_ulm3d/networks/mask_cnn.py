"""Small dense network that selects the voxels to keep: the learned step from dense to sparse.

One of the strategies compared by Rauby et al. (arXiv 2402.09359), besides a threshold and the
largest values; they do not specify its layers. Here every convolution is split into one in space
and one in time, so that the same code serves 2-D and 3-D frames and uses neighbouring frames
without 4-D convolutions.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse import Backend, SparseTensor

__all__ = ["MaskCNN", "MaskCNNConfig"]


class MaskCNNConfig(StageConfig):
    """Sizes of the mask network."""

    channels: int = setting(8, "Number of channels of the hidden layers.", ge=1)
    layers: int = setting(
        3, "Number of convolutions in space and in time; the last one is in space only.", ge=1
    )
    threshold: float = setting(0.5, "Probability above which a voxel is kept.", gt=0, lt=1)


class MaskCNN(nn.Module):
    """Frames (batch, 2, t, z, y, x) to the probability that a voxel should be kept.

    2-D frames have a y axis of length 1, so that one network accepts both: along such an axis,
    a kernel only meets its padding.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: MaskCNNConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or MaskCNNConfig()
        widths = [2] + [c.channels] * (c.layers - 1)
        self.hidden = nn.ModuleList(_Layer(a, b) for a, b in pairwise(widths))
        self.output = nn.Conv3d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, t, z, y, x): above 0 means a probability above one half.

        Raises
        ------
        ConfigError
            The input has other axes or channels.
        """
        if x.ndim != 6 or x.shape[1] != 2:
            raise ConfigError(
                "The mask network expects (batch, 2, t, z, y, x), but the tensor is "
                f"{tuple(x.shape)}. Give 2-D frames a y axis of length 1."
            )
        batch, _, t, *space = x.shape
        # Frames as samples: (batch * t, channels, z, y, x).
        frames = x.transpose(1, 2).reshape(batch * t, 2, *space)
        for layer in self.hidden:
            frames = layer(frames, batch)
        return self.output(frames).reshape(batch, t, *space)

    def mask(self, x: Tensor) -> Tensor:
        """Voxels to keep, (batch, t, z, y, x) bool."""
        with torch.no_grad():
            return torch.sigmoid(self(x)) > self.config.threshold

    def sparsify(
        self, x: Tensor, flat: bool = False, backend: Backend | None = None
    ) -> SparseTensor:
        """The voxels of (batch, 2, t, z, y, x) kept by the mask; `flat` drops the y axis."""
        mask = self.mask(x)
        if flat:
            if x.shape[4] != 1:
                raise ConfigError(
                    f"Frames {tuple(x.shape)} are not 2-D: y has length {x.shape[4]}."
                )
            x, mask = x[:, :, :, :, 0], mask[:, :, :, 0]
        return SparseTensor.from_dense(x, mask, backend)


class _Layer(nn.Module):
    """3 x 3 x 3 in space, 3 in time, batch norm, ELU."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.space = nn.Conv3d(a, b, 3, padding=1)
        self.time = nn.Conv1d(b, b, 3, padding=1)
        self.norm = nn.BatchNorm3d(b)

    def forward(self, frames: Tensor, batch: int) -> Tensor:
        y = self.space(frames)
        _, channels, *space = y.shape
        t = len(y) // batch
        # (batch, voxels, channels, t): a time series for every voxel.
        series = y.reshape(batch, t, channels, -1).permute(0, 3, 2, 1)
        series = self.time(series.reshape(-1, channels, t))
        y = series.reshape(batch, -1, channels, t).permute(0, 3, 2, 1)
        return functional.elu(self.norm(y.reshape(batch * t, channels, *space)))
