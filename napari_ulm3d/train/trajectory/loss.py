"""Loss of the paper's networks: soft Dice, plus cross entropy to recover from empty predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from napari_ulm3d.networks.sparse_deepstulm import TrajectoryPrediction
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.task import Loss
from napari_ulm3d.train.trajectory.config import TrajectoryLossConfig
from napari_ulm3d.train.trajectory.dice_loss import soft_dice, sparse_soft_dice, trajectory_target
from napari_ulm3d.train.trajectory.targets import Trajectories

__all__ = ["Target", "dense_trajectory_loss", "right_target", "sparse_trajectory_loss"]

Target = Callable[[Sequence[Trajectories], SparseTensor, bool], tuple[Coordinates, Tensor | None]]
"""Returns true voxels on a prediction's grid, and the number per sample that cannot be
represented on it; the last argument says whether the prediction is a head."""


def right_target(
    truth: Sequence[Trajectories], prediction: SparseTensor, head: bool
) -> tuple[Coordinates, Tensor | None]:
    """The target at exactly the stride at which the head runs."""
    return trajectory_target(truth, prediction), None


def sparse_trajectory_loss(
    prediction: TrajectoryPrediction,
    truth: Sequence[Trajectories],
    config: TrajectoryLossConfig,
    target: Target = right_target,
) -> Loss:
    """Mean over heads and output of Dice and cross entropy, each on its own grid.

    The cross entropy is averaged over the voxels of the prediction; missing voxels
    only affect the Dice term.

    Parameters
    ----------
    prediction
        All stages or some of them.
    truth
        One window per sample.
    config
        Weights of the terms.
    target
        Creates the targets; alternatives serve to study the published code.
    """
    dice, entropy = [], []
    for tensor in prediction.tensors:
        wanted, unreachable = target(truth, tensor, tensor is not prediction.output)
        dice.append(sparse_soft_dice(tensor, wanted, config.smooth, unreachable))
        hit = torch.isin(tensor.coordinates.keys(), wanted.keys())
        entropy.append(_entropy(tensor.features[:, 0], hit))
    return _total(torch.stack(dice).mean(), torch.stack(entropy).mean(), dice[-1], config)


def dense_trajectory_loss(output: Tensor, truth: Tensor, config: TrajectoryLossConfig) -> Loss:
    """The loss for a dense output; cross entropy is averaged over all voxels.

    Parameters
    ----------
    output, truth
        (batch, 1, 1, z, x): probabilities, and true voxels.
    config
        Weights of the terms.
    """
    dice = soft_dice(output, truth, config.smooth)
    return _total(dice, _entropy(output, truth), dice, config)


def _entropy(probability: Tensor, wanted: Tensor) -> Tensor:
    if not probability.numel():
        return probability.sum()
    return functional.binary_cross_entropy(probability, wanted.to(probability.dtype))


def _total(dice: Tensor, entropy: Tensor, last: Tensor, config: TrajectoryLossConfig) -> Loss:
    total = config.dice * dice + config.cross_entropy * entropy
    return Loss(total, {"dice": dice, "cross_entropy": entropy, "dice_finest": last})
