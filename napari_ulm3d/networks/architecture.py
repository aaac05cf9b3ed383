"""Sizes of the networks of Rauby et al. (arXiv 2402.09359), shared by dense and sparse versions.

The publication specifies the stages and their channels; the remaining choices reproduce all
three published parameter counts (2-D dense 1.04 M, 2-D sparse 1.05 M, 3-D sparse 3.12 M).
Layers, with d = 1 + `space_axes` axes, K = 3^d, and a bias in every convolution; batch norm (two
parameters per channel) follows all but the last convolution of the output and of the heads:

===============================  =============================  ==========  ==========
layer                            weights                        2-D + t     3-D + t
===============================  =============================  ==========  ==========
input 5^d, 2 to 16               5^d * 2 * 16                       4 048      20 048
down 1: 1x1 16 to 32, 3 convs    512 + 3 K * 32^2                  83 840     249 728
down 2: 1x1 32 to 64, 3 convs    2048 + 3 K * 64^2                334 592     998 144
up 1: 3^d 64 to 32, 1x1 64       64*32 K + 64^2 + 3 K * 64^2      392 032   1 166 176
up 2: 3^d 64 to 32, 1x1 48 to 32 64*32 K + 48*32 + 3 K * 32^2     140 256     416 736
transition 1: 3^d 32 to 16       32*16 K                           13 872      41 520
three of: 2^(d-1) 16, 3 convs    2^(d-1) * 16^2 + 3 K * 16^2       65 856     193 344
transition 2: 3^d 16 to 16       16^2 K                             6 960      20 784
output: 3^d 16 to 8, 1x1 8 to 1  16*8 K + 8                         3 489      10 401
heads before an up-sampling: 3   3 * 16 K                           1 299       3 891
===============================  =============================  ==========  ==========

The numbers include biases and batch norms. The dense network has no heads: 1 044 945; sparse in
2-D 1 046 244, in 3-D 3 120 772. Our own choices: the kernel of the first two
up-samplings (3 along every axis), their 32 channels and the 1x1 convolution that merges the skip;
the kernel of the last three (2 in space, 1 in time, so that no two voxels write to the same
position); 3 along every axis in the transitions, the heads and the first layer of the output.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.config import StageConfig, setting

__all__ = ["DeepSTULMConfig", "SparseDeepSTULMConfig"]

_Pool = Annotated[int, Field(ge=1)]


class DeepSTULMConfig(StageConfig):
    """Sizes of a network from complex frames to one super-resolved trajectory volume."""

    space_axes: Literal[2, 3] = setting(2, "Axes of a frame: 2 (z, x) or 3 (z, y, x).")
    channels: int = setting(
        16, "Channels of the first stage; the following stages have 2 and 4 times as many.", ge=2
    )
    input_kernel: int = setting(5, "Edge length of the first convolution (odd).", "voxels", ge=1)
    kernel: int = setting(3, "Edge length of all other convolutions (odd).", "voxels", ge=3)
    convolutions: int = setting(3, "Number of convolutions per stage.", ge=1)
    separable: bool = setting(
        False, "Convolve in space, then in time, instead of in both at once: fewer multiplications."
    )
    time_pools: tuple[_Pool, _Pool] = setting(
        (4, 4), "Number of frames pooled into one by the first and the second down stage."
    )
    transition_pool: int = setting(
        8, "Number of time steps pooled into one before the high-resolution stages.", ge=1
    )
    doublings: int = setting(
        3, "Number of high-resolution stages; each doubles the spatial resolution.", ge=1
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.input_kernel % 2 == 0 or self.kernel % 2 == 0:
            raise ValueError("kernel and input_kernel must be odd")
        if self.channels % 2:
            raise ValueError("channels must be even: both parts of the input are repeated")
        return self

    @property
    def upsampling(self) -> int:
        """Super-resolution factor along each spatial axis."""
        return int(2**self.doublings)

    @property
    def axes(self) -> int:
        """Number of axes of the network's grid: time and space."""
        return 1 + self.space_axes

    @property
    def head_time_stride(self) -> int:
        """Frames per time step in the high-resolution stages and their heads."""
        return self.time_pools[0] * self.time_pools[1] * self.transition_pool

    @property
    def coarsest(self) -> int:
        """Input voxels per voxel of the coarsest level, along a spatial axis."""
        return 4

    @property
    def context_voxels(self) -> int:
        """Spatial reach of a prediction, in voxels of the input."""
        reach, n = self.kernel // 2, self.convolutions
        # Strides 2 and 4 down, 2 and 1 up, each with an up-sampling from twice its stride.
        v_net = self.input_kernel // 2 + reach * ((2 + 4 + 2 + 1) * n + 4 + 2)
        # Transition, then for each doubling a head and convolutions on voxels of half the size.
        fine = 1 + sum((n + 1) / 2**k for k in range(1, self.doublings + 1)) + 1
        last = 2 / 2**self.doublings
        return ceil(v_net + reach * (fine + last)) + self.coarsest - 1

    def cube(self, side: int) -> tuple[int, ...]:
        """A kernel with equal sides along time and space."""
        return (side,) * self.axes

    def in_space(self, side: int) -> tuple[int, ...]:
        """A kernel or stride that acts only in space."""
        return (1, *(side,) * self.space_axes)

    def in_time(self, side: int) -> tuple[int, ...]:
        """A kernel or stride that acts only in time."""
        return (side, *(1,) * self.space_axes)

    def kernels(self, side: int) -> list[tuple[int, ...]]:
        """The kernels that make up one convolution with this side, in order."""
        return [self.in_space(side), self.in_time(side)] if self.separable else [self.cube(side)]


class SparseDeepSTULMConfig(DeepSTULMConfig):
    """Sizes of the sparse network, with its heads at every scale."""

    deep_supervision: bool = setting(
        True, "Add a head before each upsampling that predicts the trajectories at its resolution."
    )
    pruning: bool = setting(
        True, "Upsample only voxels whose head exceeds the threshold; needs the heads."
    )
    threshold: float = setting(0.5, "Probability above which pruning keeps a voxel.", gt=0, lt=1)

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.pruning and not self.deep_supervision:
            raise ValueError(
                "pruning needs deep_supervision: the mask has no gradient, so only the "
                "supervision trains the heads"
            )
        return self
