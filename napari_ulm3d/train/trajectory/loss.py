"""The loss of the paper's networks: soft Dice, and cross entropy to get away from nothing."""

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
"""True voxels on a prediction's grid, and how many a sample have no place on it; the last
argument says whether the prediction is a head."""


def right_target(
    truth: Sequence[Trajectories], prediction: SparseTensor, head: bool
) -> tuple[Coordinates, Tensor | None]:
    """The target at the very stride where the head runs."""
    return trajectory_target(truth, prediction), None


def sparse_trajectory_loss(
    prediction: TrajectoryPrediction,
    truth: Sequence[Trajectories],
    config: TrajectoryLossConfig,
    target: Target = right_target,
) -> Loss:
    """Mean over heads and output of Dice and cross entropy, each on its own grid.

    The cross entropy is the mean over the voxels that the prediction has; those that it lacks
    count for Dice alone.

    Parameters
    ----------
    prediction
        All stages or a part of them.
    truth
        One window a sample.
    config
        Weights.
    target
        How targets are made; another one serves to study what the published code does.
    """
    dice, entropy = [], []
    for tensor in prediction.tensors:
        wanted, unreachable = target(truth, tensor, tensor is not prediction.output)
        dice.append(sparse_soft_dice(tensor, wanted, config.smooth, unreachable))
        hit = torch.isin(tensor.coordinates.keys(), wanted.keys())
        entropy.append(_entropy(tensor.features[:, 0], hit))
    return _total(torch.stack(dice).mean(), torch.stack(entropy).mean(), dice[-1], config)


def dense_trajectory_loss(output: Tensor, truth: Tensor, config: TrajectoryLossConfig) -> Loss:
    """The same of a dense output; the cross entropy is the mean over all voxels.

    Parameters
    ----------
    output, truth
        (batch, 1, 1, z, x): probabilities, and true voxels.
    config
        Weights.
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
