"""The gradient of a batch, computed at once or window by window in several threads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from napari_ulm3d.sparse.worker_threads import one_threaded_workers
from napari_ulm3d.train.task import Loss, Task

__all__ = ["batch_gradient"]


def batch_gradient(
    task: Task, model: nn.Module, windows: Sequence[Any], step: int, device: str
) -> Loss:
    """Set the gradient of the weights to that of the batch's loss.

    On the CPU, if the task gives each window's share of the loss, every window is computed by
    one thread, with as many windows at once as PyTorch may use threads. They are summed in the
    order of the windows, so the result is bit-identical for any number of threads.

    Returns
    -------
    Loss
        Detached, for the log.
    """
    model.zero_grad(set_to_none=True)
    shares = task.shares(windows)
    if device != "cpu" or shares is None:
        with mixed_precision(task.config.precision, device):
            loss = task.loss(model, windows, step, device)
        loss.total.backward()
        return _detached(loss, 1.0)
    weights = [weight for weight in model.parameters() if weight.requires_grad]

    def one(window: Any, share: float) -> tuple[Loss, tuple[Tensor | None, ...]]:
        loss = task.loss(model, [window], step, device)
        gradient = torch.autograd.grad(share * loss.total, weights, allow_unused=True)
        return _detached(loss, share), gradient

    pairs = [(w, s) for w, s in zip(windows, shares, strict=True) if s > 0]
    with one_threaded_workers(min(torch.get_num_threads(), len(pairs)), "gradient") as pool:
        done = list(pool.map(one, *zip(*pairs, strict=True)))
    for weight, *parts in zip(weights, *(gradient for _, gradient in done), strict=True):
        used = [part for part in parts if part is not None]
        weight.grad = torch.stack(used).sum(0) if used else None
    losses = [loss for loss, _ in done]
    return Loss(
        torch.stack([loss.total for loss in losses]).sum(),
        {
            name: torch.stack([loss.terms[name] for loss in losses]).sum()
            for name in losses[0].terms
        },
    )


def mixed_precision(precision: str, device: str) -> AbstractContextManager[Any]:
    """Context in which products use bfloat16, depending on the settings and the device.

    bfloat16 has the range of float32, so gradients need no scaling. Weights, sums and
    losses stay in 32 bits.
    """
    wanted = precision == "half" or (precision == "auto" and device != "cpu")
    if not wanted or (device != "cpu" and not torch.cuda.is_bf16_supported()):
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def _detached(loss: Loss, share: float) -> Loss:
    return Loss(
        share * loss.total.detach(),
        {name: share * term.detach() for name, term in loss.terms.items()},
    )
