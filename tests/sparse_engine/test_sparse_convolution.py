"""Sparse convolutions against torch's dense ones, at every voxel they write."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse import (
    InverseConv,
    SparseConv,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
)

SHAPES = {2: (9, 13), 3: (7, 10, 5), 4: (6, 5, 7, 4)}


def random_tensor(
    shape: tuple[int, ...], channels: int = 3, occupancy: float = 0.2, batch: int = 2, seed: int = 0
) -> SparseTensor:
    torch.manual_seed(seed)
    indices = (torch.rand(batch, *shape) < occupancy).nonzero()
    features = torch.randn(len(indices), channels, dtype=torch.float64, requires_grad=True)
    return SparseTensor.create(indices, features, shape, batch)


def dense_conv(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
) -> Tensor:
    """Convolution (b, c, *shape) with (c_out, c_in, *kernel) on any number of axes, by its definition."""
    kernel = weight.shape[2:]
    pad = [p for p in reversed(padding) for _ in range(2)]
    x = functional.pad(x, pad)
    out_shape = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    out = x.new_zeros((x.shape[0], weight.shape[0], *out_shape))
    for offset in itertools.product(*(range(k) for k in kernel)):
        window = tuple(
            slice(o, o + s * (n - 1) + 1, s)
            for o, s, n in zip(offset, stride, out_shape, strict=True)
        )
        part = x[(slice(None), slice(None), *window)]
        out = out + torch.einsum("bi...,oi->bo...", part, weight[(..., *offset)])
    return out


def dense_transposed(
    x: Tensor, weight: Tensor, stride: tuple[int, ...], shape: list[int]
) -> Tensor:
    """Unpadded transposed convolution with (c_in, c_out, *kernel): the adjoint of `dense_conv`."""
    empty = torch.zeros(x.shape[0], weight.shape[1], *shape, dtype=x.dtype, requires_grad=True)
    forward = dense_conv(empty, weight, stride, (0,) * len(shape))
    missing = [n - m for n, m in zip(forward.shape[2:], x.shape[2:], strict=True)]
    x = functional.pad(x, [v for m in reversed(missing) for v in (0, m)])
    return torch.autograd.grad(forward, empty, x, create_graph=True)[0]


def at_voxels(dense: Tensor, y: SparseTensor) -> Tensor:
    return dense.movedim(1, -1)[tuple(y.indices.long().T)]


def assert_same(y: SparseTensor, dense: Tensor, inputs: list[Tensor]) -> None:
    """Values and gradients of a sparse result and a dense reference, both made from `inputs`."""
    assert tuple(dense.shape[2:]) == y.shape
    wanted = at_voxels(dense, y)
    torch.testing.assert_close(y.features, wanted, rtol=0, atol=1e-10)
    # Elsewhere the dense result is zero (its bias apart): the sparse one reaches every voxel.
    probe = torch.randn_like(wanted)
    ours = torch.autograd.grad(y.features, inputs, probe, retain_graph=True)
    theirs = torch.autograd.grad(wanted, inputs, probe)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def torch_conv(ndim: int):
    return {2: functional.conv2d, 3: functional.conv3d}.get(ndim)


SUBMANIFOLD = [
    (3, 3), (1, 5), (3, 3, 3), (5, 1, 3), (1, 1, 1), (3, 1, 1, 1), (1, 3, 3, 3), (3, 3, 3, 3), (5, 3, 1, 3),
]  # fmt: skip


@pytest.mark.parametrize("kernel", SUBMANIFOLD, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_submanifold_is_the_dense_convolution_at_its_voxels(kernel, bias):
    x = random_tensor(SHAPES[len(kernel)])
    layer = SubmanifoldConv(3, 4, kernel, bias=bias).double()
    y = layer(x)
    assert y.coordinates is x.coordinates
    padding = tuple(k // 2 for k in kernel)
    weight = layer.weight.movedim(-1, 1)
    if torch_conv(len(kernel)):
        dense = torch_conv(len(kernel))(x.dense(), weight, layer.bias, 1, padding)
        mine = dense_conv(x.dense(), weight, (1,) * len(kernel), padding)
        if bias:
            mine = mine + layer.bias.view(1, -1, *(1,) * len(kernel))
        torch.testing.assert_close(dense, mine)
    else:
        dense = dense_conv(x.dense(), weight, (1,) * len(kernel), padding)
        if bias:
            dense = dense + layer.bias.view(1, -1, *(1,) * len(kernel))
    assert_same(y, dense, [x.features, *layer.parameters()])


STRIDED = [
    ((3, 3), (2, 2), None),
    ((2, 2), (2, 2), 0),
    ((3, 5), (1, 3), (0, 2)),
    ((3, 3, 3), (2, 2, 2), 1),
    ((2, 3, 1), (2, 1, 3), 0),
    ((3, 3, 3), 1, 1),
    ((4, 2, 2, 2), (4, 2, 2, 2), 0),
    ((3, 1, 3, 3), (2, 1, 2, 1), None),
]


@pytest.mark.parametrize(("kernel", "stride", "padding"), STRIDED, ids=str)
def test_strided_convolution_is_the_dense_one_and_misses_nothing(kernel, stride, padding):
    x = random_tensor(SHAPES[len(kernel)], occupancy=0.1)
    layer = SparseConv(3, 4, kernel, stride, padding, bias=False).double()
    y = layer(x)
    weight = layer.weight.movedim(-1, 1)
    if torch_conv(len(kernel)):
        dense = torch_conv(len(kernel))(x.dense(), weight, None, layer.stride, layer.padding)
    else:
        dense = dense_conv(x.dense(), weight, layer.stride, layer.padding)
    assert_same(y, dense, [x.features, layer.weight])
    torch.testing.assert_close(y.dense(), dense, rtol=0, atol=1e-10)
    # The voxels are those that a kernel of ones reaches, no more.
    occupied = x.with_features(torch.ones(len(x), 1, dtype=torch.float64)).dense()
    reached = dense_conv(
        occupied, torch.ones(1, 1, *kernel, dtype=torch.float64), layer.stride, layer.padding
    )
    assert torch.equal((reached[:, 0] > 0.5).nonzero(), y.indices.long())
    assert y.stride == layer.stride


UP = [
    ((2, 2), 2), ((3, 3), 2), ((4, 3), (2, 1)), ((2, 2, 2), 2), ((3, 3, 3), 2), ((5, 1, 2), (2, 1, 3)),
    ((1, 2, 2, 2), (1, 2, 2, 2)), ((1, 3, 3, 3), (1, 2, 2, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "stride"), UP, ids=str)
def test_transposed_convolution_is_the_dense_one_and_misses_nothing(kernel, stride):
    ndim = len(kernel)
    x = random_tensor(SHAPES[ndim], occupancy=0.05)
    layer = SparseTransposedConv(3, 4, kernel, stride, bias=False).double()
    y = layer(x)
    assert y.shape == tuple(n * s for n, s in zip(x.shape, layer.stride, strict=True))
    weight = layer.weight.movedim(-1, 0)
    fill = [s - k + 2 * p for k, s, p in zip(kernel, layer.stride, layer.padding, strict=True)]
    if ndim < 4 and all(0 <= f < s for f, s in zip(fill, layer.stride, strict=True)):
        function = functional.conv_transpose2d if ndim == 2 else functional.conv_transpose3d
        dense = function(x.dense(), weight, None, layer.stride, layer.padding, fill)
    else:
        # What overhangs is cut: an even kernel at stride 1 has no output padding in torch.
        full = [
            max(n * s + 2 * p, s * (n - 1) + k)
            for n, k, s, p in zip(x.shape, kernel, layer.stride, layer.padding, strict=True)
        ]
        dense = dense_transposed(x.dense(), weight, layer.stride, full)
        cut = [
            slice(p, p + n * s)
            for n, s, p in zip(x.shape, layer.stride, layer.padding, strict=True)
        ]
        dense = dense[(slice(None), slice(None), *cut)]
    assert_same(y, dense, [x.features, layer.weight])
    torch.testing.assert_close(y.dense(), dense, rtol=0, atol=1e-10)
    assert [1 / f for f in y.stride] == list(layer.stride)


@pytest.mark.parametrize(("kernel", "stride", "padding"), STRIDED, ids=str)
def test_inverse_convolution_returns_to_the_given_voxels(kernel, stride, padding):
    x = random_tensor(SHAPES[len(kernel)], occupancy=0.1)
    down = SparseConv(3, 4, kernel, stride, padding, bias=False).double()
    up = InverseConv(4, 3, kernel, stride, padding, bias=False).double()
    low = down(x)
    y = up(low, x)
    assert y.coordinates is x.coordinates
    # It is the adjoint of the strided convolution of the same weights, kept at x's voxels.
    with torch.no_grad():
        down.weight.copy_(up.weight.movedim(-1, 0).movedim(1, -1))
    adjoint = torch.autograd.grad(down(x).features, x.features, low.features)[0]
    torch.testing.assert_close(y.features, adjoint, rtol=0, atol=1e-10)


def test_the_way_back_uses_the_map_of_the_way_down(monkeypatch):
    from napari_ulm3d.sparse import kernel_maps

    calls = []
    real = kernel_maps._match
    monkeypatch.setattr(kernel_maps, "_match", lambda *a, **k: calls.append(1) or real(*a, **k))
    x = random_tensor((8, 8, 8))
    first, second = (SubmanifoldConv(3, 3, (3, 3, 3)).double() for _ in range(2))
    down, up = SparseConv(3, 3, (2,) * 3, 2).double(), InverseConv(3, 3, (2,) * 3, 2).double()
    y = first(second(up(down(second(first(x))), x)))
    assert y.coordinates is x.coordinates
    assert len(calls) == 2  # one submanifold map, one map of the pair down and up


@pytest.mark.slow
@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_agree_with_finite_differences(transposed):
    x = random_tensor((4, 3, 3), channels=2, occupancy=0.3, batch=2)
    cls = SparseTransposedConv if transposed else SparseConv
    layer = cls(2, 2, (3, 2, 3), (2, 1, 2)).double()

    def f(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x.with_features(features),)
        ).features

    assert torch.autograd.gradcheck(f, (x.features, layer.weight, layer.bias))


def test_gradients_of_the_submanifold_layer_agree_with_finite_differences():
    x = random_tensor((3, 3, 3, 2), channels=2, occupancy=0.3, batch=1)
    layer = SubmanifoldConv(2, 3, (3, 1, 3, 3)).double()

    def f(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x.with_features(features),)
        ).features

    assert torch.autograd.gradcheck(f, (x.features, layer.weight, layer.bias))


@pytest.mark.parametrize("ndim", [2, 3, 4])
def test_empty_tensors_go_through_every_layer(ndim):
    empty = SparseTensor.create(
        torch.zeros(0, 1 + ndim, dtype=torch.int64),
        torch.zeros(0, 2, requires_grad=True),
        (8,) * ndim,
        batch_size=3,
    )
    down = SparseConv(2, 3, (3,) * ndim, 2)
    back = InverseConv(3, 2, (3,) * ndim, 2)
    up = SparseTransposedConv(2, 3, (2,) * ndim, 2)
    y = up(back(down(SubmanifoldConv(2, 2, (3,) * ndim)(empty)), empty))
    assert y.features.shape == (0, 3)
    assert y.shape == (16,) * ndim
    y.features.sum().backward()
    assert torch.equal(up.weight.grad, torch.zeros_like(up.weight))
    assert empty.features.grad.shape == (0, 2)


def test_samples_of_a_batch_do_not_mix():
    whole = random_tensor((6, 6, 6), batch=3)
    layer = SparseConv(3, 2, (3, 3, 3), 2).double()
    y = layer(whole)
    for sample in range(3):
        mine = whole.indices[:, 0] == sample
        indices = whole.indices[mine].clone()
        indices[:, 0] = 0
        alone = layer(SparseTensor.create(indices, whole.features[mine], whole.shape))
        torch.testing.assert_close(alone.features, y.features[y.indices[:, 0] == sample])


@pytest.mark.parametrize("occupancy", [0.05, 0.3])  # few pairs, and many
def test_same_input_gives_same_bits(occupancy):
    x = random_tensor((24, 24, 24), channels=16, occupancy=occupancy)
    x = x.with_features(x.features.float())
    layer = SubmanifoldConv(16, 16, (3, 3, 3))
    results = []
    for _ in range(3):
        y = layer(x).features
        gradient = torch.autograd.grad(y.square().sum(), [x.features, layer.weight])
        results.append([y, *gradient])
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


LAYERS = {
    "submanifold": SubmanifoldConv(4, 6, (3, 3, 3)),
    "over one axis": SubmanifoldConv(4, 6, (3, 1, 1)),
    "strided": SparseConv(4, 6, (3, 3, 3), 2),
    "transposed": SparseTransposedConv(4, 6, (2, 2, 2), 2),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("occupancy", [0.0, 0.02, 0.5])
def test_few_pairs_at_once_give_what_offset_after_offset_gives(name, occupancy, monkeypatch):
    from napari_ulm3d.sparse.backends import backend_torch

    layer = LAYERS[name].double()
    results = []
    for at_once, chunk in ((2**30, 0), (0, 2**18), (0, 4 * 300)):
        monkeypatch.setattr(backend_torch, "_AT_ONCE", at_once)
        monkeypatch.setattr(backend_torch, "_CHUNK", chunk)
        x = random_tensor((20, 20, 20), channels=4, occupancy=occupancy)
        y = layer(x)
        gradient = torch.autograd.grad(y.features.square().sum(), [x.features, layer.weight])
        results.append([y.features, *gradient])
    for other in results[1:]:
        for found, wanted in zip(other, results[0], strict=True):
            torch.testing.assert_close(found, wanted)


def test_layers_start_as_torch_layers_do():
    torch.manual_seed(1)
    ours, theirs = SubmanifoldConv(16, 32, (3, 3, 3)), torch.nn.Conv3d(16, 32, 3)
    bound = 1 / math.sqrt(16 * 27)
    assert ours.weight.abs().max() <= bound
    assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.05)


def test_a_wrong_layer_says_so():
    x = random_tensor((6, 6))
    with pytest.raises(ConfigError, match="odd"):
        SubmanifoldConv(3, 3, (2, 3))
    with pytest.raises(ConfigError, match="3 on 2"):
        SubmanifoldConv(4, 3, (3, 3)).double()(x)
    with pytest.raises(ConfigError, match="leaves nothing"):
        SparseConv(3, 3, (7, 7), 1, 0).double()(x)
    with pytest.raises(ConfigError, match="differ in length"):
        SparseConv(3, 3, (3, 3), (2, 2, 2))
    with pytest.raises(ConfigError, match="strides"):
        InverseConv(3, 3, (2, 2), 2).double()(x, x)
