"""The loss of `BubbleNet`: detection, position, count, velocity and level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_ulm3d.networks.bubblenet import BubbleOutput
from napari_ulm3d.train.bubbles.targets import Targets
from napari_ulm3d.train.config import LossConfig

__all__ = ["BatchTargets", "batch_targets", "bubble_loss", "count_loss", "mixture_loss"]

_VELOCITY_UNIT, _VELOCITY_SHARE = 0.03, 0.2
"""Tolerances of the velocity error: voxels per frame, and fraction of the speed."""


@dataclass(frozen=True)
class BatchTargets:
    """The targets of a batch as tensors; rows refer to the batch.

    Attributes
    ----------
    voxel, near, offset, velocity, level
        As in `Targets`, for all windows.
    frame
        (m,) number of the bubble's frame, counted over the windows of the batch.
    axes
        (m, 3) 1 along axes with meaningful positions, else 0.
    """

    voxel: Tensor
    near: Tensor
    offset: Tensor
    velocity: Tensor
    level: Tensor
    frame: Tensor
    axes: Tensor


def batch_targets(
    targets: Sequence[Targets],
    n_rows: Sequence[int],
    n_frames: int,
    device: torch.device | str = "cpu",
) -> BatchTargets:
    """Concatenate the targets of windows of `n_frames` frames with consecutive rows of predictions."""
    first = np.cumsum([0, *n_rows[:-1]])

    def rows(name: str) -> Tensor:
        parts = []
        for target, start in zip(targets, first, strict=True):
            row = getattr(target, name)
            parts.append(np.where(row >= 0, row + start, -1))
        return torch.from_numpy(np.concatenate(parts)).to(device)

    def values(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([getattr(t, name) for t in targets])).to(device)

    frame = np.concatenate([t.frame + k * n_frames for k, t in enumerate(targets)])
    axes = np.concatenate([np.tile(t.axes, (len(t), 1)) for t in targets]).astype(np.float32)
    return BatchTargets(
        voxel=rows("voxel"),
        near=rows("near"),
        offset=values("offset"),
        velocity=values("velocity"),
        level=values("level"),
        frame=torch.from_numpy(frame).to(device),
        axes=torch.from_numpy(axes).to(device),
    )


def mixture_loss(
    log_probability: Tensor,
    offset: Tensor,
    log_sigma: Tensor,
    targets: BatchTargets,
    doubt: float = 0.0,
) -> Tensor:
    """Mean over bubbles of -log sum_k p_k N(bubble; voxel_k + offset_k, sigma_k).

    The voxels around a bubble form a mixture of Gaussians weighted by their probabilities
    (DECODE's localization loss), so no voxel is assigned to the bubble. Unlike in DECODE, the
    weights are not divided by their sum over the frame: the sum over k is the density of
    predicted bubbles at the true one, and only nearby voxels matter.

    Parameters
    ----------
    log_probability
        (n,) log p.
    offset, log_sigma
        (n, 3), voxels.
    targets
        m bubbles; the loss is 0 without bubbles.
    doubt
        Bubbles are weighted by their sigma to this power. At 0, the gradient is the error over
        sigma squared, so isolated bubbles, of which the network is certain, outweigh close
        ones, whose sigma grows instead (Seitzer et al., ICLR 2022, whose beta is half of it).
    """
    if not len(targets.near):
        return offset.sum() * 0
    there = targets.near >= 0
    flat = targets.near.clamp_min(0).flatten()
    shape = (*targets.near.shape, 3)
    log_s = log_sigma.index_select(0, flat).reshape(shape)
    far = (targets.offset - offset.index_select(0, flat).reshape(shape)) * torch.exp(-log_s)
    log_normal = -0.5 * far.square() - log_s - 0.5 * math.log(2 * math.pi)
    log_density = (log_normal * targets.axes[:, None]).sum(-1)
    log_weight = log_probability.index_select(0, flat).reshape(there.shape)
    terms = (log_density + log_weight).masked_fill(~there, -torch.inf)
    density = torch.logsumexp(terms, dim=1)
    if doubt == 0:
        return -density.mean()
    with torch.no_grad():
        axes = targets.axes.sum(1, keepdim=True).clamp_min(1)
        spread = (log_s * targets.axes[:, None]).sum(-1) / axes
        weight = torch.exp(doubt * (torch.softmax(terms, dim=1) * spread).sum(1))
        weight /= weight.mean()
    return -(weight * density).mean()


def count_loss(
    probability: Tensor, frame: Tensor, true_counts: Tensor, variance_floor: float = 0.5
) -> Tensor:
    """Mean over frames of -log N(count; sum p, sum p (1 - p)), DECODE's count loss.

    Parameters
    ----------
    probability, frame
        (n,) probability of each voxel, and its frame.
    true_counts
        (frames,) number of bubbles in each frame.
    variance_floor
        Added to the variance, which vanishes when everything is certain.
    """
    zeros = probability.new_zeros(len(true_counts))
    mean = zeros.index_add(0, frame, probability)
    variance = zeros.index_add(0, frame, probability * (1 - probability)) + variance_floor
    return (0.5 * (true_counts - mean).square() / variance + 0.5 * variance.log()).mean()


def bubble_loss(
    output: BubbleOutput, targets: BatchTargets, config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of all terms, and the individual terms.

    detection
        Binary cross entropy of the rows, with target 1 for those assigned to a bubble: the
        sum over rows divided by the number of bubbles plus a hundredth of the voxels, so that
        windows with hardly any bubbles do not outweigh the others.
    position
        `mixture_loss`.
    count
        `count_loss`.
    velocity, level
        Smooth L1 at the assigned rows, mean over bubbles. Velocities are in units of
        0.03 voxels per frame, typical for most bubbles, plus a fifth of the bubble's
        speed; otherwise a few bubbles that move by voxels would dominate.

    Parameters
    ----------
    output
        Predictions for a batch.
    targets
        Its targets.
    config
        Weights of the terms.
    """
    assigned = targets.voxel >= 0
    rows = targets.voxel[assigned]
    n = max(1, len(rows))
    logit = output.logit
    wanted = torch.zeros_like(logit)
    wanted[rows] = 1
    indices = output.coordinates.indices
    n_frames = output.coordinates.shape[0]
    frame = indices[:, 0].long() * n_frames + indices[:, 1].long()
    frame = frame.repeat_interleave(output.per_voxel)
    counts = torch.bincount(
        targets.frame[assigned], minlength=output.coordinates.batch_size * n_frames
    ).to(logit.dtype)
    level = targets.level[assigned]
    known = level.isfinite()
    axes = targets.axes[assigned]
    velocity, moves = output.velocity.index_select(0, rows), targets.velocity[assigned] * axes
    unit = _VELOCITY_UNIT + _VELOCITY_SHARE * moves.norm(dim=1, keepdim=True)
    terms = {
        "detection": functional.binary_cross_entropy_with_logits(logit, wanted, reduction="sum")
        / (n + 0.01 * len(indices)),
        "position": mixture_loss(
            functional.logsigmoid(logit),
            output.offset,
            output.log_sigma,
            targets,
            config.doubt,
        ),
        "count": count_loss(torch.sigmoid(logit), frame, counts),
        "velocity": functional.smooth_l1_loss(velocity * axes / unit, moves / unit, reduction="sum")
        / n,
        "level": functional.smooth_l1_loss(
            output.level.index_select(0, rows)[known], level[known], reduction="sum", beta=0.1
        )
        / n,
    }
    total = sum((getattr(config, name) * term for name, term in terms.items()), logit.sum() * 0)
    return total, terms
