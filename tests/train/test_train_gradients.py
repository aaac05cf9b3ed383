"""The gradient of a batch, computed window by window."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.train.bubbles.targets import Bubbles, make_targets
from napari_ulm3d.train.bubbles.task import BubbleTask
from napari_ulm3d.train.bubbles.windows import Window
from napari_ulm3d.train.config import TrainConfig
from napari_ulm3d.train.gradients import batch_gradient
from napari_ulm3d.train.loop import new_state
from napari_ulm3d.train.task import Loss

SHAPE = (4, 8, 7, 6)
CONFIG = TrainConfig.from_dict(
    {"network": {"stem": 2, "channels": [4, 6], "blocks": 1, "head": 4}, "device": "cpu"}
)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def window(seed: int, share: float, n_bubbles: int) -> Window:
    rng = np.random.default_rng(seed)
    block = random_block(SHAPE, share, seed)
    bubbles = Bubbles(
        rng.integers(0, SHAPE[0], n_bubbles),
        rng.uniform(0, 5, (n_bubbles, 3)),
        rng.normal(size=(n_bubbles, 3)).astype(np.float32),
        np.ones(n_bubbles, np.float32),
    )
    return Window(block, make_targets(block.coordinates, SHAPE, bubbles))


WINDOWS = [window(1, 0.3, 9), window(2, 0.1, 2), window(3, 0.5, 4)]


def gradient(model, threads: int, windows) -> tuple[torch.Tensor, Loss]:
    torch.set_num_threads(threads)
    loss = batch_gradient(BubbleTask(CONFIG), model, windows, 0, "cpu")
    assert torch.get_num_threads() == threads
    return torch.cat([p.grad.flatten() for p in model.parameters()]), loss


@pytest.mark.slow
def test_it_is_that_of_the_mean_by_shares():
    task = BubbleTask(CONFIG)
    model = new_state(task).model
    shares = task.shares(WINDOWS)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] > shares[2] > shares[1]
    total = sum(
        s * task.loss(model, [w], 0, "cpu").total for w, s in zip(WINDOWS, shares, strict=True)
    )
    wanted = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(model.parameters()))])
    found, loss = gradient(model, 2, WINDOWS)
    torch.testing.assert_close(found, wanted)
    assert float(loss.total) == pytest.approx(total.item())
    terms = sum(getattr(CONFIG.loss, name) * value for name, value in loss.terms.items())
    assert float(terms) == pytest.approx(total.item(), rel=1e-5)
    # One window alone is a batch like any other.
    alone, loss = gradient(model, 2, WINDOWS[:1])
    direct = task.loss(model, WINDOWS[:1], 0, "cpu").total
    direct.backward(inputs=list(model.parameters()))
    assert float(loss.total) == pytest.approx(direct.item())
    summed = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(summed, 2 * alone)  # added to the existing gradient


def test_any_number_of_threads_gives_the_same_bits():
    model = new_state(BubbleTask(CONFIG)).model
    one, first = gradient(model, 1, WINDOWS)
    for threads in (2, 3):
        other, loss = gradient(model, threads, WINDOWS)
        assert torch.equal(one, other)
        assert torch.equal(first.total, loss.total)


def test_windows_without_voxels_count_nothing():
    model = new_state(BubbleTask(CONFIG)).model
    empty = window(4, 0.0, 0)
    with_it, _ = gradient(model, 2, [WINDOWS[0], empty])
    without, _ = gradient(model, 2, WINDOWS[:1])
    assert torch.equal(with_it, without)


def test_what_fails_in_a_thread_is_raised():
    task = BubbleTask(CONFIG)
    model = new_state(task).model
    broken = Window(WINDOWS[0].block, WINDOWS[2].targets)
    task.loss = partial(_fail, task.loss)
    with pytest.raises(ZeroDivisionError):
        batch_gradient(task, model, [broken, WINDOWS[1]], 0, "cpu")


def _fail(loss, model, windows, step, device):
    if len(windows[0].block) > 100:
        raise ZeroDivisionError
    return loss(model, windows, step, device)
