"""Launches and waits are counted as a GPU would see them."""

from __future__ import annotations

import torch

from benchmarks.gpu.counting import counted


def test_launches_are_counted_and_views_are_not() -> None:
    x = torch.randn(6, 4)

    def work() -> torch.Tensor:
        y = x[1:3].T.reshape(2, 4)  # the transposed slice is copied here
        y = y.contiguous().view(8).float()
        y.add_(1)
        return torch.cat([y, y]) @ torch.empty(16)

    for context in (torch.enable_grad, torch.inference_mode):
        with context():
            _, counts = counted(work)
        launched = {name: n for name, n in counts.launched.items() if name != "reshape"}
        copied = counts.launched["reshape"] + launched.pop("clone", 0) + launched.pop("copy_", 0)
        assert copied >= 1
        assert launched.pop("dot", 0) + launched.pop("matmul", 0) == 1
        assert launched == {"add_": 1, "cat": 1}
        assert counts.waits == 0


def test_waits_are_counted() -> None:
    x = torch.arange(4)

    def work() -> None:
        _ = x[x > 1]
        x[x > 9] = 0
        _ = torch.where(x > 1, x, 0)  # no wait
        _ = x.sum().item() + int(x[0])
        _ = bool((x == 3).any())
        _ = x.tolist(), x.nonzero(), torch.where(x), torch.unique(x), torch.equal(x, x)

    _, counts = counted(work)
    assert counts.waited == {
        "mask": 2, "item": 1, "__int__": 1, "__bool__": 1, "tolist": 1, "nonzero": 2, "unique": 1,
        "equal": 1,
    }  # fmt: skip
