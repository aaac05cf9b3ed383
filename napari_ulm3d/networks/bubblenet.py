"""`BubbleNet`: a sparse space-time U-Net that localizes bubbles on the kept voxels.

For every kept voxel it predicts the probability that a bubble belongs to it, the bubble's
offset from the voxel with its uncertainty, its velocity and its brightness. There is no finer
grid: time and memory scale with the number of kept voxels. Predicting probability, offset and
uncertainty per pixel follows DECODE (Speiser et al., Nat. Methods 18, 1082 (2021)), extended to
three dimensions and time on sparse tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.bubblenet_input import N_CHANNELS
from napari_ulm3d.sparse import (
    Convolution,
    Coordinates,
    InverseConv,
    MaxPool,
    Pointwise,
    SparseTensor,
    SubmanifoldConv,
    concatenate,
    convolve,
    prepare,
    submanifold_map,
    without_autocast,
)

__all__ = ["BubbleNet", "BubbleNetConfig", "BubbleOutput", "ComplexConv", "PhaseStem"]

_SPACE, _HALF, _AROUND = (1, 3, 3, 3), (1, 2, 2, 2), (3, 3, 3, 3)


class BubbleNetConfig(StageConfig):
    """Size of a `BubbleNet`."""

    stem: int = setting(
        12, "Number of complex filters each for the correlation and the amplitude.", ge=1
    )
    channels: tuple[Annotated[int, Field(ge=1)], ...] = setting(
        (32, 48, 64),
        "Number of channels at each level; every level halves the voxels along z, y, x.",
        min_length=1,
    )
    blocks: int = setting(
        2, "Number of residual blocks per level, on the way down and on the way up.", ge=1
    )
    time_kernel: int = setting(
        3, "Number of frames covered by each temporal convolution (odd).", "frames", ge=1
    )
    head: int = setting(64, "Number of hidden channels of the output head.", ge=1)
    reach_voxels: float = setting(
        2.0, "Maximum distance of a bubble from its voxel along each axis.", "voxels", gt=0
    )
    per_voxel: int = setting(
        1, "Maximum number of bubbles that belong to the same voxel.", "bubbles", ge=1, le=2
    )
    moving_levels: int = setting(
        0,
        "Number of levels, counted from the coarsest, with a convolution over space and time at "
        "once: it follows bubbles that leave their voxel from one frame to the next.",
        ge=0,
    )

    @field_validator("time_kernel")
    @classmethod
    def _odd(cls, frames: int) -> int:
        if frames % 2 == 0:
            raise ValueError(f"{frames} frames have no middle frame; use an odd number")
        return frames

    @model_validator(mode="after")
    def _levels_exist(self) -> Self:
        if self.moving_levels > len(self.channels):
            raise ValueError(
                f"moving_levels = {self.moving_levels}, but there are {len(self.channels)} levels"
            )
        return self

    @property
    def moving(self) -> range:
        """Levels with a convolution over space and time, 0 being the finest."""
        return range(len(self.channels) - self.moving_levels, len(self.channels))

    @property
    def context_frames(self) -> int:
        """Temporal reach of a prediction in both directions: that of the convolutions over time."""
        levels = len(self.channels)
        along = self.time_kernel // 2 * (1 + self.blocks * (2 * levels - 1))
        return along + self.moving_levels

    @property
    def stride(self) -> int:
        """Input voxels per voxel of the coarsest level, along an axis."""
        return int(2 ** (len(self.channels) - 1))

    @property
    def context_voxels(self) -> int:
        """Reach of a prediction along z, y, x: one voxel of its level per convolution."""
        *finer, coarsest = (2**level for level in range(len(self.channels)))
        convolutions = 1 + 2 * self.blocks * sum(finer) + self.blocks * coarsest
        convolutions += sum(2**level for level in self.moving)
        # The position within the coarsest voxel determines on which side the reach is longer.
        return int(convolutions + self.stride - 1)


@dataclass(frozen=True)
class BubbleOutput:
    """Predictions, one row per kept voxel and bubble that may belong to it.

    With two bubbles per voxel, rows 2 v and 2 v + 1 are those of voxel v: the brighter one, and the other.

    Attributes
    ----------
    logit
        (n,) log-odds that a bubble belongs to the voxel; for the second row of a voxel, that two do.
    offset
        (n, 3) bubble position minus voxel along z, y, x, voxels.
    log_sigma
        (n, 3) natural logarithm of the standard deviation of the offset, voxels.
    velocity
        (n, 3) voxels per frame.
    level
        (n,) log10 of the ratio of bubble amplitude to noise; 20 times this is the SNR in dB.
    coordinates
        The voxels of the input.
    per_voxel
        Number of rows of each voxel.
    """

    logit: Tensor
    offset: Tensor
    log_sigma: Tensor
    velocity: Tensor
    level: Tensor
    coordinates: Coordinates
    per_voxel: int = 1


class ComplexConv(nn.Module):
    """Submanifold convolution of complex features with complex weights, without bias.

    Features are all real parts, then all imaginary parts. A phase rotation of the input rotates
    the output in the same way.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = kernel
        shape = (out_channels, *kernel, in_channels)
        scale = math.sqrt(0.5 / (in_channels * math.prod(kernel)))
        self.real = nn.Parameter(torch.randn(shape) * scale)
        self.imag = nn.Parameter(torch.randn(shape) * scale)

    @property
    def convolution(self) -> Convolution:
        """The equivalent real convolution."""
        return Convolution(2 * self.real.shape[-1], 2 * self.real.shape[0], self.kernel)

    def forward(self, x: SparseTensor) -> SparseTensor:
        weight = torch.cat(
            [
                torch.cat([self.real, -self.imag], dim=-1),
                torch.cat([self.imag, self.real], dim=-1),
            ]
        )
        pairs = submanifold_map(x.coordinates, self.kernel)
        return x.with_features(convolve(x.features, weight, None, pairs, False, x.backend))


class PhaseStem(nn.Module):
    """First layer: linear filters of the complex neighbourhood, relative to the voxel's own phase.

    Filters over space, then over time, act on the complex values; the result is rotated by the
    phase of the voxel's correlation. This preserves the phases of the neighbours relative to the
    voxel (interference of two bubbles, Doppler step to the next frame), and removes the unknown
    phase of a bubble, which varies with its depth and with the tissue above it.
    """

    def __init__(self, filters: int, time_kernel: int) -> None:
        super().__init__()
        time = _over_time(time_kernel)
        self.correlation = nn.Sequential(
            ComplexConv(1, filters, _SPACE), ComplexConv(filters, filters, time)
        )
        self.amplitude = nn.Sequential(
            ComplexConv(1, filters, _SPACE), ComplexConv(filters, filters, time)
        )
        self.out_channels = 4 * filters + N_CHANNELS - 4

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Features from `bubblenet_input.collate` (n, `N_CHANNELS`) to (n, out_channels)."""
        f = x.features
        unit = f[:, 0:2] / f[:, 4:5].clamp_min(1e-12)
        of_correlation = _turn(self.correlation(x.with_features(f[:, 0:2])).features, unit)
        of_amplitude = _turn(self.amplitude(x.with_features(f[:, 2:4])).features, unit)
        # Neighbours relative to the voxel; values far brighter than it are compressed.
        own = f[:, 2:4].square().sum(1, keepdim=True).sqrt() + 1
        relative = torch.asinh(of_amplitude / own)
        return x.with_features(torch.cat([of_correlation, relative, f[:, 4:]], dim=1))


def _turn(features: Tensor, unit: Tensor) -> Tensor:
    """Complex features times the conjugate of one unit complex number per row."""
    real, imag = features.chunk(2, dim=1)
    u, v = unit[:, 0:1], unit[:, 1:2]
    return torch.cat([real * u + imag * v, imag * u - real * v], dim=1)


class _Residual(nn.Module):
    """x plus `layers` of x."""

    layers: nn.Sequential

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_features(x.features + self.layers(x).features)


class _Block(_Residual):
    """x + time(act(norm(space(act(norm(x)))))); normalized over channels, voxel by voxel.

    Unlike batch statistics, this does not depend on the number of bubbles in a window.
    """

    def __init__(self, channels: int, time_kernel: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Pointwise(nn.LayerNorm(channels)),
            Pointwise(nn.SiLU()),
            SubmanifoldConv(channels, channels, _SPACE),
            Pointwise(nn.LayerNorm(channels)),
            Pointwise(nn.SiLU()),
            SubmanifoldConv(channels, channels, _over_time(time_kernel)),
        )


class _Moving(_Residual):
    """x + conv(act(norm(x))) with a kernel over space and time at once.

    A kernel over time alone reaches only the same voxel in other frames. A bubble that moves by
    more than a voxel per frame leaves no kept voxel there; this kernel finds it in the
    neighbours, which at a coarse level are several voxels wide.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Pointwise(nn.LayerNorm(channels)),
            Pointwise(nn.SiLU()),
            SubmanifoldConv(channels, channels, _AROUND),
        )
        # Adds nothing at first, so that a trained network can be continued with it.
        for weight in self.layers[2].parameters():
            nn.init.zeros_(weight)


def _over_time(frames: int) -> tuple[int, int, int, int]:
    return (frames, 1, 1, 1)


class BubbleNet(nn.Module):
    """The localizer; see the module's docstring.

    Parameters
    ----------
    config
        Its sizes.
    """

    def __init__(self, config: BubbleNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or BubbleNetConfig()
        widths, n = config.channels, config.blocks
        time = config.time_kernel

        def blocks(channels: int) -> nn.Sequential:
            return nn.Sequential(*(_Block(channels, time) for _ in range(n)))

        self.stem = PhaseStem(config.stem, time)
        self.entry = Pointwise(nn.Linear(self.stem.out_channels, widths[0]))
        self.down = nn.ModuleList(blocks(width) for width in widths)
        self.moving = nn.ModuleDict({str(level): _Moving(widths[level]) for level in config.moving})
        self.pool = MaxPool(_HALF)
        steps = list(pairwise(widths))
        self.widen = nn.ModuleList(Pointwise(nn.Linear(a, b)) for a, b in steps)
        self.rise = nn.ModuleList(InverseConv(b, a, _HALF, _HALF, 0) for a, b in steps)
        self.join = nn.ModuleList(Pointwise(nn.Linear(2 * a, a)) for a, _ in steps)
        self.up = nn.ModuleList(blocks(a) for a, _ in steps)
        last = nn.Linear(config.head, 11 * config.per_voxel)
        self.head = nn.Sequential(
            nn.LayerNorm(widths[0]), nn.Linear(widths[0], config.head), nn.SiLU(), last
        )
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.zero_()
            last.bias[0::11] = -5.0  # few voxels contain several bubbles
            last.bias[0] = -2.5  # about one in thirteen kept voxels contains a bubble
            last.bias[10::11] = 0.8

    def forward(self, x: SparseTensor) -> BubbleOutput:
        """Predict on the input's voxels.

        Parameters
        ----------
        x
            (n, `N_CHANNELS`) features on t, z, y, x, from `bubblenet_input.collate`.

        Raises
        ------
        ConfigError
            The input has another number of channels or axes.
        """
        if x.channels != N_CHANNELS or x.ndim != 4:
            raise ConfigError(
                f"BubbleNet expects {N_CHANNELS} channels on axes t, z, y, x, but the tensor has "
                f"{x.channels} on {x.ndim} axes. Create it with bubblenet_input.collate."
            )
        prepare(x.coordinates, [_HALF] * (len(self.down) - 1))
        x = self.entry(self.stem(x))
        skips: list[SparseTensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                x = self.widen[level - 1](self.pool(x))
            if level in self.config.moving:
                x = self.moving[str(level)](x)
            x = blocks(x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            risen = self.rise[level](x, skips[level])
            x = self.up[level](self.join[level](concatenate([skips[level], risen])))
        # 16 bits are too coarse for positions, so the last products always use 32.
        with without_autocast(x.device):
            out = self.head(x.features.to(next(self.head.parameters()).dtype)).reshape(-1, 11)
        return BubbleOutput(
            logit=out[:, 0],
            offset=self.config.reach_voxels * torch.tanh(out[:, 1:4]),
            # From 0.02 to 2.7 voxels, initially about 0.22.
            log_sigma=-1.5 + 2.5 * torch.tanh(out[:, 4:7]),
            # Most bubbles move a few hundredths of a voxel per frame.
            velocity=0.1 * out[:, 7:10],
            level=out[:, 10],
            coordinates=x.coordinates,
            per_voxel=self.config.per_voxel,
        )
