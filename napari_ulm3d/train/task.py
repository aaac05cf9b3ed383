"""Interface between the training loop and a task: network, data, loss, validation."""

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
    """A network to train, with its data. W is the type of a window.

    All random numbers follow from a seed or the step, so that a resumed training gives
    bit-identical results.

    Attributes
    ----------
    metric
        Name of the score (``jaccard``): validations contain it as ``metric_...`` and its mean as
        ``score``.
    """

    metric: str

    @property
    def config(self) -> TrainingConfig:
        """All settings of the training."""
        ...

    def network(self) -> nn.Module:
        """The network with new weights from torch's random generator."""
        ...

    def windows(self, seed: int) -> list[W]:
        """The windows of one training scene; the same seed gives the same windows."""
        ...

    def voxels(self, windows: Sequence[W]) -> int:
        """Number of voxels in a batch; batches with none are skipped."""
        ...

    def loss(self, model: nn.Module, windows: Sequence[W], step: int, device: str) -> Loss:
        """The loss of a batch at a step (from 0)."""
        ...

    def shares(self, windows: Sequence[W]) -> Sequence[float] | None:
        """Each window's share of the batch's loss, if that is a mean over windows.

        The windows can then be computed one by one. None: they cannot, for instance because of
        batch statistics.
        """
        ...

    def validate(self, model: nn.Module, step: int, device: str) -> dict[str, float] | None:
        """Scores on held-out scenes by name, including ``score``, after `step` steps.

        None: there is nothing to score yet. The scenes are created when first needed.
        """
        ...
