"""Soft Dice for dense and sparse predictions, with deep supervision of all heads.

Soft Dice after Milletari et al. (3DV 2016), with plain sums as in Rauby et al. (arXiv 2402.09359):
``1 - (2 sum(p g) + s) / (sum(p) + sum(g) + s)``, computed per sample, then averaged over samples.
With the smoothing s, an empty prediction of an empty target is perfect.
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
        Added to numerator and denominator.

    Returns
    -------
    Tensor
        A scalar between 0 and 1.

    Raises
    ------
    ConfigError
        The shapes differ.
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
    """Like `soft_dice`, for a sparse prediction that is zero in all other voxels.

    Parameters
    ----------
    prediction
        1 channel of probabilities.
    target
        The true voxels, on the same grid. Those missing in the prediction count as
        false negatives.
    smooth
        Added to numerator and denominator.
    unreachable
        (batch,) number of true voxels besides those in `target` that cannot be represented on
        the prediction's grid.

    Raises
    ------
    ConfigError
        The grids differ, or there is more than one channel.
    """
    own = prediction.coordinates
    if not own.same_grid(target) or prediction.channels != 1:
        raise ConfigError(
            f"A prediction with {prediction.channels} channels on {own} and the target "
            f"{target} cannot be compared. Create the target on the grid of the prediction."
        )
    p, sample = prediction.features[:, 0], own.indices[:, 0].long()
    hit = torch.isin(own.keys(), target.keys())
    # One sum per sample and no scatter-add, so the result is reproducible to the bit.
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
    """Voxels crossed by the true trajectories, on the grid and stride of a prediction.

    Parameters
    ----------
    trajectories
        One window per sample of the batch.
    prediction
        Output or head; its `stride` gives the size of a voxel in time and space.

    Raises
    ------
    ConfigError
        The numbers of windows and samples differ, or a window has another shape.
    """
    grid = prediction.coordinates
    if len(trajectories) != grid.batch_size:
        raise ConfigError(
            f"{len(trajectories)} windows of truth do not match a batch of {grid.batch_size}."
        )
    parts = []
    for sample, window in enumerate(trajectories):
        shape = tuple(-(-n // s) for n, s in zip(window.shape, grid.stride, strict=False))
        # Pooling to one time step can multiply the stride beyond the number of frames.
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
    """Mean soft Dice over heads and output, each compared with a target on its own grid.

    Parameters
    ----------
    prediction
        Prediction of the network, with all of its stages or some of them.
    trajectories
        Ground truth, one window per sample of the batch.
    smooth
        As in `soft_dice`.

    Returns
    -------
    loss : Tensor
        A scalar, for the backward pass.
    parts : tuple of float
        Loss of each head, from coarse to fine, then of the output.
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
