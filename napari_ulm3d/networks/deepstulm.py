"""The dense network in 2-D + t, the counterpart of the sparse network.

After Milecki et al. (IEEE TMI 2021), as used for comparison by Rauby et al. (arXiv 2402.09359):
the same stages as `networks.sparse_deepstulm` on the whole grid, without heads and pruning. On a
sparse tensor with all voxels, both compute the same numbers. In 3-D + t its convolutions would
need four axes, which PyTorch lacks, and prohibitive memory; the sparse network avoids both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.architecture import DeepSTULMConfig

__all__ = ["DeepSTULM"]


class DeepSTULM(nn.Module):
    """Frames (batch, 2, t, z, x) to trajectories (batch, 1, 1, z * up, x * up).

    Parameters
    ----------
    config
        Sizes; the default is the published network.

    Raises
    ------
    ConfigError
        The sizes have three spatial axes.
    """

    def __init__(self, config: DeepSTULMConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or DeepSTULMConfig()
        if c.space_axes != 2:
            raise ConfigError(
                "The dense network supports only 2-D frames. Use SparseDeepSTULM in 3-D."
            )
        n = c.channels
        t0, t1 = c.time_pools
        self.input = _Input(c)
        self.down1 = _Down(c, n, 2 * n, t0)
        self.down2 = _Down(c, 2 * n, 4 * n, t1)
        self.up1 = _Up(c, 4 * n, 2 * n, 4 * n, skip_time_pool=t1)
        self.up2 = _Up(c, 4 * n, n, 2 * n, skip_time_pool=t0 * t1)
        self.transition1 = _unit(c, 2 * n, n, c.kernel)
        self.time_pool = _max_pool(c.in_time(c.transition_pool))
        self.high = nn.ModuleList(_High(c, n) for _ in range(c.doublings))
        self.transition2 = _unit(c, n, n, c.kernel)
        half = max(1, n // 2)
        self.output = nn.Sequential(
            _unit(c, n, half, c.kernel), nn.Conv3d(half, 1, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Predict trajectories.

        Parameters
        ----------
        x
            (batch, 2, t, z, x): real and imaginary part of the correlation map.

        Returns
        -------
        Tensor
            (batch, 1, 1, z * up, x * up): probability that a trajectory crosses the voxel.

        Raises
        ------
        ConfigError
            The input has other axes or channels.
        """
        if x.ndim != 5 or x.shape[1] != 2:
            raise ConfigError(
                f"This network expects (batch, 2, t, z, x), but the tensor is {tuple(x.shape)}. "
                "Pass the real and imaginary parts as channels."
            )
        first = self.input(x)
        second = self.down1(first)
        y = self.up1(self.down2(second), second)
        y = self.up2(y, first)
        y = self.time_pool(self.transition1(y))
        for stage in self.high:
            y = stage(y)
        y = self.transition2(y)
        y = functional.max_pool3d(y, (y.shape[2], 1, 1))
        return self.output(y)


class _BatchNorm(nn.BatchNorm3d):
    """Like the sparse network's: a single value uses the running statistics, even in training."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


def _triple(sizes: tuple[int, ...]) -> tuple[int, int, int]:
    t, z, x = sizes
    return t, z, x


def _max_pool(sizes: tuple[int, ...]) -> nn.MaxPool3d:
    return nn.MaxPool3d(_triple(sizes), ceil_mode=True)


def _convolve(c: DeepSTULMConfig, a: int, b: int, side: int) -> list[nn.Module]:
    return [
        nn.Conv3d(a if k == 0 else b, b, _triple(kernel), padding="same")
        for k, kernel in enumerate(c.kernels(side))
    ]


def _activation(channels: int) -> list[nn.Module]:
    # In place: the normalized values are not needed elsewhere, not even in the backward pass.
    return [_BatchNorm(channels), nn.ELU(inplace=True)]


def _unit(c: DeepSTULMConfig, a: int, b: int, side: int) -> nn.Sequential:
    return nn.Sequential(*_convolve(c, a, b, side), *_activation(b))


def _body(c: DeepSTULMConfig, n: int) -> nn.Sequential:
    return nn.Sequential(*(_unit(c, n, n, c.kernel) for _ in range(c.convolutions)))


class _Input(nn.Module):
    """The first convolution, plus the input repeated over its channels."""

    def __init__(self, c: DeepSTULMConfig) -> None:
        super().__init__()
        self.repeats = c.channels // 2
        self.unit = _unit(c, 2, c.channels, c.input_kernel)

    def forward(self, x: Tensor) -> Tensor:
        return self.unit(x) + x.repeat(1, self.repeats, 1, 1, 1)


class _Down(nn.Module):
    """Increase channels, reduce time and space, then residual convolutions."""

    def __init__(self, c: DeepSTULMConfig, a: int, b: int, time_pool: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv3d(a, b, 1), *_activation(b))
        self.pool = _max_pool((time_pool, 2, 2))
        self.body = _body(c, b)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.widen(x))
        return self.body(x) + x


class _Up(nn.Module):
    """Up-sample to the grid of a skip pooled in time, merge with it, then convolutions."""

    def __init__(self, c: DeepSTULMConfig, a: int, skip: int, b: int, skip_time_pool: int) -> None:
        super().__init__()
        width, half = 2 * c.channels, c.kernel // 2
        self.pool_skip = _max_pool(c.in_time(skip_time_pool))
        self.up = nn.ConvTranspose3d(
            a,
            width,
            _triple(c.cube(c.kernel)),
            stride=_triple(c.in_space(2)),
            padding=half,
            output_padding=(0, 1, 1),
        )
        self.activation = nn.Sequential(*_activation(width))
        self.merge = nn.Sequential(nn.Conv3d(width + skip, b, 1), *_activation(b))
        self.body = _body(c, b)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        skip = self.pool_skip(skip)
        # For odd lengths, the coarse grid extends one voxel beyond the border.
        up = self.up(x)[..., : skip.shape[-2], : skip.shape[-1]]
        x = self.merge(torch.cat([self.activation(up), skip], dim=1))
        return self.body(x) + x


class _High(nn.Module):
    """Double the spatial resolution by a transposed convolution, then convolutions."""

    def __init__(self, c: DeepSTULMConfig, n: int) -> None:
        super().__init__()
        two = _triple(c.in_space(2))
        self.up = nn.Sequential(nn.ConvTranspose3d(n, n, two, stride=two), *_activation(n))
        self.body = _body(c, n)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        return self.body(x) + x
