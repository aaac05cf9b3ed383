"""What the training loop asks of a task: network, data, loss, validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from napari_ulm3d.train.config import TrainingConfig

__all__ = ["Loss", "Task"]

W = TypeVar("W")


@dataclass(frozen=True)
class Loss:
    """The loss of a batch.

    Attributes
    ----------
    total
        A scalar, for the backward pass.
    terms
        Its terms by name, for the log.
    """

    total: Tensor
    terms: dict[str, Tensor]


class Task(Protocol, Generic[W]):
    """A network to train, and on what. W is what a window of it holds.

    Everything that is drawn at random follows from a seed or the step, so that a training that
    was stopped goes on to the same bits.

    Attributes
    ----------
    metric
        The score by name (``jaccard``): validations hold it as ``metric_...`` and its mean as
        ``score``.
    """

    metric: str

    @property
    def config(self) -> TrainingConfig:
        """All settings of the training."""
        ...

    def network(self) -> nn.Module:
        """The network with new weights, drawn from torch's random generator."""
        ...

    def windows(self, seed: int) -> list[W]:
        """The windows of one training scene; the same for the same seed."""
        ...

    def voxels(self, windows: Sequence[W]) -> int:
        """Voxels that a batch holds; a batch of none is no step."""
        ...

    def loss(self, model: nn.Module, windows: Sequence[W], step: int, device: str) -> Loss:
        """The loss of a batch at a step (from 0)."""
        ...

    def shares(self, windows: Sequence[W]) -> Sequence[float] | None:
        """Each window's share in the batch's loss, where that is a mean over windows.

        They can then be computed one by one. None: they cannot, as where batch statistics are
        taken.
        """
        ...

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float] | None:
        """Scores on held-out scenes by name, ``score`` among them, after `step` steps.

        None: there is nothing to score yet. The scenes are made when first needed.
        """
        ...
