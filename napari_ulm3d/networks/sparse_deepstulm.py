"""The sparse network of Rauby et al. (arXiv 2402.09359; IEEE TIP 2025), in 2-D + t and 3-D + t.

A V-net on the kept voxels of the complex correlation map. Two down stages pool time and space;
two up stages return to the input's voxels in space, with skips that are pooled in time. Then
high-resolution stages double the spatial resolution, at a coarse time step, and time is
pooled to a single volume: the probability that a trajectory crosses a voxel. Written from the
description in the publication; `networks.architecture` lists its parameters layer by layer.

Every up-sampling in the high-resolution part multiplies the number of voxels by four (2-D) or eight
(3-D). Pruning keeps only those in which a head predicts a trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
from napari_ulm3d.sparse import (
    ELU,
    BatchNorm,
    InverseConv,
    Linear,
    MaxPool,
    Sigmoid,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
    TimePool,
    add,
    concatenate,
    prune,
)

__all__ = ["SparseDeepSTULM", "TrajectoryPrediction", "likely_voxels"]


@dataclass(frozen=True)
class TrajectoryPrediction:
    """Predictions for a batch of windows.

    Parameters
    ----------
    output
        1 channel: probability that a trajectory crosses a voxel of the super-resolved grid, one
        time step. None if a cascade stopped earlier.
    heads
        The same before each up-sampling, from coarse to fine, with the time step at which the
        head ran (`SparseTensor.stride`).
    """

    output: SparseTensor | None
    heads: tuple[SparseTensor, ...] = ()

    @property
    def tensors(self) -> tuple[SparseTensor, ...]:
        """Heads, then the output if there is one: everything that is supervised."""
        return self.heads if self.output is None else (*self.heads, self.output)


class SparseDeepSTULM(nn.Module):
    """Sparse frames (2 channels) to a sparse volume of trajectories.

    Parameters
    ----------
    config
        Sizes and options; the default is the published network in 2-D + t.
    """

    def __init__(self, config: SparseDeepSTULMConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or SparseDeepSTULMConfig()
        n = c.channels
        t0, t1 = c.time_pools
        self.input = _Input(c)
        self.down1 = _Down(c, n, 2 * n, t0)
        self.down2 = _Down(c, 2 * n, 4 * n, t1)
        self.up1 = _Up(c, 4 * n, 2 * n, 4 * n, skip_time_pool=t1)
        self.up2 = _Up(c, 4 * n, n, 2 * n, skip_time_pool=t0 * t1)
        self.transition1 = _unit(c, 2 * n, n, c.kernel)
        self.time_pool = MaxPool(c.in_time(c.transition_pool))
        self.high = nn.ModuleList(_High(c, n) for _ in range(c.doublings))
        heads = c.doublings if c.deep_supervision else 0
        self.heads = nn.ModuleList(
            nn.Sequential(*_convolve(c, n, 1, c.kernel), Sigmoid()) for _ in range(heads)
        )
        self.transition2 = _unit(c, n, n, c.kernel)
        self.all_time = TimePool("max")
        self.output = nn.Sequential(
            _unit(c, n, max(1, n // 2), c.kernel), Linear(max(1, n // 2), 1), Sigmoid()
        )

    def forward(self, x: SparseTensor, stages: int | None = None) -> TrajectoryPrediction:
        """Predict trajectories.

        Parameters
        ----------
        x
            Axes t, z, x or t, z, y, x; 2 channels, real and imaginary part.
        stages
            Number of high-resolution stages to run, for cascaded training: with fewer than all,
            there is no output, and the last head is the result. None: all.

        Raises
        ------
        ConfigError
            The input has other axes or channels, or there are fewer stages.
        """
        c = self.config
        if x.ndim != c.axes or x.channels != 2:
            raise ConfigError(
                f"This network expects 2 channels on {c.axes} axes (time and space), but the "
                f"tensor has {x.channels} on {x.ndim}. Create it with the space_axes of the "
                "frames."
            )
        run = c.doublings if stages is None else stages
        if not 0 <= run <= c.doublings or (run < c.doublings and not c.deep_supervision):
            raise ConfigError(
                f"A network with {c.doublings} stages and {len(self.heads)} heads cannot run a "
                f"cascade of {run} stages. Use 0 to {c.doublings} stages, with deep_supervision."
            )
        first = self.input(x)
        second = self.down1(first)
        y = self.up1(self.down2(second), second)
        y = self.up2(y, first)
        y = self.time_pool(self.transition1(y))
        heads: list[SparseTensor] = []
        for k, stage in enumerate(self.high):
            if c.deep_supervision:
                heads.append(self.heads[k](y))
            if k == run:
                return TrajectoryPrediction(None, tuple(heads))
            if c.pruning:
                y = prune(y, likely_voxels(heads[-1], c.threshold))
            y = stage(y)
        y = self.all_time(self.transition2(y))
        return TrajectoryPrediction(self.output(y), tuple(heads))


def likely_voxels(probability: SparseTensor, threshold: float = 0.5) -> Tensor:
    """Voxels above a probability, (n,) bool; if a sample has none, its most likely voxel.

    Parameters
    ----------
    probability
        1 channel.
    threshold
        The probability must exceed it. Among equal maxima, the first is kept.
    """
    values, sample = probability.features.detach()[:, 0], probability.indices[:, 0]
    keep = values > threshold
    for b in range(probability.batch_size):
        rows = (sample == b).nonzero().flatten()
        if len(rows) and not bool(keep[rows].any()):
            own = values[rows]
            keep[rows[(own == own.max()).nonzero()[:1, 0]]] = True
    return keep


def _convolve(c: SparseDeepSTULMConfig, a: int, b: int, side: int) -> list[nn.Module]:
    kernels = c.kernels(side)
    return [SubmanifoldConv(a if k == 0 else b, b, kernel) for k, kernel in enumerate(kernels)]


def _activation(channels: int) -> list[nn.Module]:
    # In place: the normalized values are not needed elsewhere, not even in the backward pass.
    return [BatchNorm(channels), ELU(inplace=True)]


def _unit(c: SparseDeepSTULMConfig, a: int, b: int, side: int) -> nn.Sequential:
    return nn.Sequential(*_convolve(c, a, b, side), *_activation(b))


def _body(c: SparseDeepSTULMConfig, n: int) -> nn.Sequential:
    return nn.Sequential(*(_unit(c, n, n, c.kernel) for _ in range(c.convolutions)))


class _Input(nn.Module):
    """The first convolution, plus the input repeated over its channels."""

    def __init__(self, c: SparseDeepSTULMConfig) -> None:
        super().__init__()
        self.repeats = c.channels // 2
        self.unit = _unit(c, 2, c.channels, c.input_kernel)

    def forward(self, x: SparseTensor) -> SparseTensor:
        repeated = x.with_features(x.features.repeat(1, self.repeats))
        return add(self.unit(x), repeated)


class _Down(nn.Module):
    """Increase channels, reduce time and space, then residual convolutions."""

    def __init__(self, c: SparseDeepSTULMConfig, a: int, b: int, time_pool: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(Linear(a, b), *_activation(b))
        self.pool = MaxPool((time_pool, *(2,) * c.space_axes))
        self.body = _body(c, b)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self.pool(self.widen(x))
        return add(self.body(x), x)


class _Up(nn.Module):
    """Up-sample to the voxels of a skip pooled in time, merge with it, then convolutions."""

    def __init__(
        self, c: SparseDeepSTULMConfig, a: int, skip: int, b: int, skip_time_pool: int
    ) -> None:
        super().__init__()
        width = 2 * c.channels
        self.pool_skip = MaxPool(c.in_time(skip_time_pool))
        self.up = InverseConv(a, width, c.cube(c.kernel), stride=c.in_space(2))
        self.activation = nn.Sequential(*_activation(width))
        self.merge = nn.Sequential(Linear(width + skip, b), *_activation(b))
        self.body = _body(c, b)

    def forward(self, x: SparseTensor, skip: SparseTensor) -> SparseTensor:
        skip = self.pool_skip(skip)
        x = self.merge(concatenate([self.activation(self.up(x, skip)), skip]))
        return add(self.body(x), x)


class _High(nn.Module):
    """Double the spatial resolution: every voxel creates all its children, then convolutions."""

    def __init__(self, c: SparseDeepSTULMConfig, n: int) -> None:
        super().__init__()
        two = c.in_space(2)
        self.up = nn.Sequential(SparseTransposedConv(n, n, two, stride=two), *_activation(n))
        self.body = _body(c, n)

    def forward(self, x: SparseTensor) -> SparseTensor:
        x = self.up(x)
        return add(self.body(x), x)
