"""Soft Dice, on dense and on sparse predictions, and the deep supervision of all heads.

Soft Dice after Milletari et al. (3DV 2016), with plain sums as in Rauby et al. (arXiv 2402.09359):
``1 - (2 sum(p g) + s) / (sum(p) + sum(g) + s)``, a sample at a time, then the mean over samples.
The smoothing s makes an empty prediction of an empty target right.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.sparse_deepstulm import TrajectoryPrediction
from napari_ulm3d.sparse import Coordinates, SparseTensor
from napari_ulm3d.train.trajectory.targets import Trajectories

__all__ = ["soft_dice", "sparse_soft_dice", "trajectory_loss", "trajectory_target"]


def soft_dice(prediction: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient of dense volumes.

    Parameters
    ----------
    prediction
        (batch, ...) probabilities.
    target
        The same shape, binary.
    smooth
        Added to both sides of the fraction.

    Returns
    -------
    Tensor
        A scalar from 0 to 1.

    Raises
    ------
    ConfigError
        Shapes that differ.
    """
    if prediction.shape != target.shape:
        raise ConfigError(
            f"A prediction {tuple(prediction.shape)} and a target {tuple(target.shape)} "
            "cannot be compared. Create the target on the grid of the prediction."
        )
    p, g = prediction.flatten(1), target.flatten(1).to(prediction.dtype)
    return _dice((p * g).sum(1), p.sum(1), g.sum(1), smooth)


def sparse_soft_dice(
    prediction: SparseTensor,
    target: Coordinates,
    smooth: float = 1.0,
    unreachable: Tensor | None = None,
) -> Tensor:
    """As `soft_dice`, of a prediction that is zero where it has no voxel.

    Parameters
    ----------
    prediction
        1 channel of probabilities.
    target
        The voxels that are true, on the same grid. Those that the prediction has not count as
        missed.
    smooth
        Added to both sides of the fraction.
    unreachable
        (batch,) true voxels besides those of `target`, for which the prediction's grid has no
        place.

    Raises
    ------
    ConfigError
        Grids that differ, or more than one channel.
    """
    own = prediction.coordinates
    if not own.same_grid(target) or prediction.channels != 1:
        raise ConfigError(
            f"A prediction with {prediction.channels} channels on {own} and the target "
            f"{target} cannot be compared. Create the target on the grid of the prediction."
        )
    p, sample = prediction.features[:, 0], own.indices[:, 0].long()
    hit = torch.isin(own.keys(), target.keys())
    # One sum a sample and no scattered addition: the same bits every time.
    rows = [sample == b for b in range(own.batch_size)]
    total = torch.stack([p[row].sum() for row in rows])
    overlap = torch.stack([p[row & hit].sum() for row in rows])
    true = torch.bincount(target.indices[:, 0].long(), minlength=own.batch_size)
    if unreachable is not None:
        true = true + unreachable.to(true.device)
    return _dice(overlap, total, true.to(p.dtype), smooth)


def trajectory_target(
    trajectories: Sequence[Trajectories], prediction: SparseTensor
) -> Coordinates:
    """The voxels that the true trajectories cross, on the grid and stride of a prediction.

    Parameters
    ----------
    trajectories
        One window a sample of the batch.
    prediction
        Output or head; its own `stride` says what a voxel is in time and space.

    Raises
    ------
    ConfigError
        Another number of windows than of samples, or windows of another shape.
    """
    grid = prediction.coordinates
    if len(trajectories) != grid.batch_size:
        raise ConfigError(
            f"{len(trajectories)} windows of truth do not match a batch of {grid.batch_size}."
        )
    parts = []
    for sample, window in enumerate(trajectories):
        shape = tuple(-(-n // s) for n, s in zip(window.shape, grid.stride, strict=False))
        # Pooling to one time step multiplies the stride by more than the frames there are.
        if len(window.shape) != grid.ndim or shape != grid.shape:
            raise ConfigError(
                f"The truth of a window {window.shape} does not match {grid}. Give the truth of "
                "the predicted window."
            )
        voxels = torch.as_tensor(window.voxels(grid.stride))
        parts.append(torch.cat([torch.full((len(voxels), 1), sample), voxels], dim=1))
    indices = torch.cat(parts).to(grid.device)
    return Coordinates.create(indices, grid.shape, grid.batch_size, grid.stride)[0]


def trajectory_loss(
    prediction: TrajectoryPrediction, trajectories: Sequence[Trajectories], smooth: float = 1.0
) -> tuple[Tensor, tuple[float, ...]]:
    """Mean soft Dice over the heads and the output, each against a target on its own grid.

    Parameters
    ----------
    prediction
        What the network gave, with all of its stages or a part of them.
    trajectories
        Truth, one window a sample of the batch.
    smooth
        As of `soft_dice`.

    Returns
    -------
    loss : Tensor
        A scalar, for the backward pass.
    parts : tuple of float
        Loss of each head, coarse to fine, then of the output.
    """
    losses = torch.stack(
        [
            sparse_soft_dice(tensor, trajectory_target(trajectories, tensor), smooth)
            for tensor in prediction.tensors
        ]
    )
    return losses.mean(), tuple(losses.detach().tolist())


def _dice(overlap: Tensor, predicted: Tensor, true: Tensor, smooth: float) -> Tensor:
    return (1 - (2 * overlap + smooth) / (predicted + true + smooth)).mean()
