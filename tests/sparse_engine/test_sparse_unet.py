"""A U-Net of these layers: on a full volume it is torch's dense one, on any volume it trains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.sparse import (
    ELU,
    BatchNorm,
    Linear,
    MaxPool,
    SparseConv,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
    TimePool,
    add,
    concatenate,
    prune,
)


class UNet(nn.Module):
    """Two scales, a residual, a strided step, a generative step up and time pooled at the end."""

    def __init__(self, ndim: int) -> None:
        super().__init__()
        k3, k2 = (3,) * ndim, (2,) * ndim
        self.enter = SubmanifoldConv(2, 8, k3)
        self.norm = BatchNorm(8)
        self.elu = ELU()
        self.pool = MaxPool(k2)
        self.low = SubmanifoldConv(8, 8, k3)
        self.down = SparseConv(8, 12, k3, 2)
        self.up = SparseTransposedConv(12, 8, k2, 2)
        self.up_again = SparseTransposedConv(8, 8, k2, 2)
        self.head = Linear(16, 1)
        self.time = TimePool()

    def forward(self, x: SparseTensor, keep: float | None = None) -> SparseTensor:
        high = self.elu(self.norm(self.enter(x)))
        low = self.pool(high)
        low = add(low, self.elu(self.low(low)))
        low = self.up(self.down(low))
        if keep is not None:
            low = prune(low, low.features[:, 0] > keep)
        up = self.up_again(low)
        return self.time(self.head(concatenate([high, up], join="union")))

    def dense(self, x: Tensor) -> Tensor:
        def conv(layer: nn.Module, x: Tensor) -> Tensor:
            weight = layer.weight.movedim(-1, 1)
            return functional.conv3d(x, weight, layer.bias, layer.stride, layer.padding)

        def up(layer: nn.Module, x: Tensor) -> Tensor:
            return functional.conv_transpose3d(x, layer.weight.movedim(-1, 0), layer.bias, 2)

        high = conv(self.enter, x)
        high = functional.elu(functional.batch_norm(
            high, None, None, self.norm.weight, self.norm.bias, True
        ))  # fmt: skip
        low = functional.max_pool3d(high, 2)
        low = low + functional.elu(conv(self.low, low))
        low = up(self.up_again, up(self.up, conv(self.down, low)))
        joined = torch.cat([high, low], 1)
        out = functional.conv3d(joined, self.head.weight[:, :, None, None, None], self.head.bias)
        return out.amax(2, keepdim=True)


def test_on_a_full_volume_it_is_the_dense_network():
    torch.manual_seed(0)
    net = UNet(3).double()
    dense = torch.randn(2, 2, 8, 4, 12, dtype=torch.float64)
    x = SparseTensor.from_dense(dense, torch.ones(2, 8, 4, 12, dtype=torch.bool))
    ours, theirs = net(x).dense(), net.dense(dense)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    parameters = list(net.parameters())
    probe = torch.randn_like(theirs)
    g_ours = torch.autograd.grad(ours, parameters, probe)
    g_theirs = torch.autograd.grad(theirs, parameters, probe)
    for a, b in zip(g_ours, g_theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_in_four_dimensions_it_learns_and_is_stored():
    torch.manual_seed(0)
    x = SparseTensor.from_dense(torch.randn(1, 2, 8, 8, 1, 8) * (torch.rand(8, 8, 1, 8) < 0.2))
    shape = x.shape
    assert shape == (8, 8, 1, 8)
    net = UNet(4)
    # The elevation axis of 2-D data is one voxel long; steps up would lengthen it.
    for layer in (net.up, net.up_again):
        layer.stride = layer.kernel_size = (2, 2, 1, 2)
        layer.weight = nn.Parameter(layer.weight[:, :, :, :1].clone())
    net.pool.kernel_size = net.down.stride = (2, 2, 1, 2)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        y = net(x)
        loss = (y.features - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert y.shape == (1, 8, 1, 8)
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


def test_it_goes_on_when_everything_was_pruned():
    torch.manual_seed(0)
    net = UNet(3)
    x = SparseTensor.from_dense(torch.randn(1, 2, 8, 8, 8) * (torch.rand(8, 8, 8) < 0.1))
    y = net(x, keep=1e9)
    y.features.sum().backward()
    assert y.shape == (1, 8, 8)
    assert torch.equal(net.up_again.weight.grad, torch.zeros_like(net.up_again.weight))
    assert net.enter.weight.grad.abs().sum() > 0
