"""Pooling, normalization and the joining of voxels, against torch's dense layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse import (
    ELU,
    BatchNorm,
    Linear,
    MaxPool,
    Pointwise,
    ReLU,
    Sigmoid,
    SparseTensor,
    SubmanifoldConv,
    TimePool,
    add,
    align,
    concatenate,
    prune,
)


def random_tensor(shape, channels=3, occupancy=0.3, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    indices = (torch.rand(batch, *shape, generator=generator) < occupancy).nonzero()
    features = torch.randn(len(indices), channels, dtype=torch.float64, generator=generator)
    return SparseTensor.create(indices, features.requires_grad_(), shape, batch)


def empty_tensor(channels=3):
    return SparseTensor.create(
        torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, channels), (4, 4, 4)
    )


def dense_with(x, fill):
    """Dense form with another value than zero where no voxel is."""
    occupied = x.with_features(torch.ones(len(x), 1, dtype=torch.float64)).dense() > 0
    return torch.where(occupied, x.dense(), torch.tensor(fill, dtype=torch.float64))


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((7, 9), (2, 2)), ((8, 5, 6), (2, 2, 2)), ((9, 5, 4), (4, 1, 2)), ((6, 6), (1, 1))],
)
def test_max_pooling_is_the_dense_one_over_the_voxels_that_are_there(shape, kernel):
    x = random_tensor(shape)
    y = MaxPool(kernel)(x)
    pool = functional.max_pool2d if len(shape) == 2 else functional.max_pool3d
    dense = pool(dense_with(x, -torch.inf), kernel, kernel, ceil_mode=True)
    assert tuple(dense.shape[2:]) == y.shape
    assert torch.equal((dense[:, 0] > -torch.inf).nonzero(), y.indices.long())
    wanted = dense.movedim(1, -1)[tuple(y.indices.long().T)]
    assert torch.equal(y.features, wanted)
    probe = torch.randn_like(wanted)
    ours = torch.autograd.grad(y.features, x.features, probe)[0]
    theirs = torch.autograd.grad(wanted, x.features, probe)[0]
    torch.testing.assert_close(ours, theirs)
    assert y.stride == kernel


def test_max_pooling_in_four_dimensions_is_two_dense_ones():
    x = random_tensor((9, 4, 6, 5))
    y = MaxPool((4, 2, 2, 2))(x)
    dense = dense_with(x, -torch.inf)
    b, c, t, *space = dense.shape
    low = functional.max_pool3d(dense.reshape(b, c * t, *space), 2, 2, ceil_mode=True)
    low = low.reshape(b * c, t, -1).movedim(1, 2)
    low = functional.max_pool1d(low, 4, 4, ceil_mode=True).movedim(2, 1).reshape(b, c, 3, 2, 3, 3)
    assert torch.equal(y.features, low.movedim(1, -1)[tuple(y.indices.long().T)])


def test_equal_values_give_the_gradient_to_the_first_as_in_torch():
    x = SparseTensor.from_dense(torch.ones(1, 1, 4, 4))
    features = torch.ones(16, 1, requires_grad=True)
    MaxPool((2, 2))(x.with_features(features)).features.sum().backward()
    dense = torch.ones(1, 1, 4, 4, requires_grad=True)
    functional.max_pool2d(dense, 2).sum().backward()
    assert torch.equal(features.grad.reshape(4, 4), dense.grad[0, 0])


def test_a_nan_is_seen_after_pooling():
    x = SparseTensor.from_dense(torch.ones(1, 1, 4, 4))
    features = torch.ones(16, 1)
    features[5] = torch.nan
    assert MaxPool((2, 2))(x.with_features(features)).features.isnan().flatten().tolist() == [
        True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["max", "mean", "sum"])
def test_time_pooling_is_a_reduction_over_the_voxels_that_are_there(mode):
    x = random_tensor((11, 4, 5))
    y = TimePool(mode)(x)
    dense = dense_with(x, -torch.inf if mode == "max" else 0.0)
    count = (dense_with(x, -torch.inf)[:, 0] > -torch.inf).sum(1, keepdim=True)
    assert torch.equal((count > 0).nonzero(), y.indices.long())
    reduced = dense.amax(2, keepdim=True) if mode == "max" else dense.sum(2, keepdim=True)
    if mode == "mean":
        reduced = reduced / count[:, None]
    wanted = reduced.movedim(1, -1)[tuple(y.indices.long().T)]
    torch.testing.assert_close(y.features, wanted, rtol=0, atol=1e-12)
    probe = torch.randn_like(wanted)
    ours = torch.autograd.grad(y.features, x.features, probe, retain_graph=True)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(wanted, x.features, probe)[0])
    assert (y.shape, y.stride) == ((1, 4, 5), (11, 1, 1))


def test_pooling_nothing_gives_nothing():
    x = empty_tensor()
    assert MaxPool((2, 2, 2))(x).features.shape == (0, 3)
    for mode in ("max", "mean", "sum"):
        features = torch.zeros(0, 3, requires_grad=True)
        y = TimePool(mode)(x.with_features(features))
        y.features.sum().backward()
        assert (len(y), y.shape) == (0, (1, 4, 4))


def test_batch_normalization_is_torchs_over_the_voxels():
    x = random_tensor((6, 6, 6))
    ours, theirs = BatchNorm(3).double(), torch.nn.BatchNorm1d(3).double()
    torch.testing.assert_close(ours(x).features, theirs(x.features))
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x).features, theirs(x.features))
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_batch_normalization_of_one_voxel_or_none_uses_the_running_statistics():
    x = random_tensor((6, 6, 6))
    norm = BatchNorm(3).double()
    norm(x)
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    one = prune(x, torch.arange(len(x)) == 2)
    wanted = norm.eval()(one).features
    torch.testing.assert_close(norm.train()(one).features, wanted)
    assert len(norm(prune(x, torch.zeros(len(x), dtype=torch.bool)))) == 0
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())


def test_linear_is_a_convolution_of_one_voxel():
    x = random_tensor((5, 5, 5))
    linear, conv = Linear(3, 4).double(), SubmanifoldConv(3, 4, (1, 1, 1)).double()
    with torch.no_grad():
        conv.weight.copy_(linear.weight[:, None, None, None])
        conv.bias.copy_(linear.bias)
    torch.testing.assert_close(linear(x).features, conv(x).features)


@pytest.mark.parametrize(
    ("layer", "function"),
    [(ELU(), functional.elu), (ReLU(), functional.relu), (Sigmoid(), torch.sigmoid),
     (Pointwise(torch.nn.Softplus()), functional.softplus)],
)  # fmt: skip
def test_activations_work_on_rows(layer, function):
    x = random_tensor((5, 5))
    y = layer(x)
    assert torch.equal(y.features, function(x.features))
    assert y.coordinates is x.coordinates


def test_pruning_keeps_rows_and_their_order():
    x = random_tensor((6, 6, 6))
    mask = x.features[:, 0] > 0
    y = prune(x, mask)
    assert torch.equal(y.indices, x.indices[mask])
    assert torch.equal(y.features, x.features[mask])
    y.features.sum().backward()
    assert torch.equal(x.features.grad, mask[:, None].double().expand(-1, 3))
    assert prune(x, torch.ones_like(mask)) is x
    with pytest.raises(ConfigError, match="does not match"):
        prune(x, mask[:-1])
    with pytest.raises(ConfigError, match="booleans"):
        prune(x, mask.long())


def test_a_sum_is_the_dense_sum_on_the_union():
    a, b, c = (random_tensor((6, 5, 7), occupancy=0.2, seed=s) for s in range(3))
    y = add(a, b, c)
    torch.testing.assert_close(y.dense(), a.dense() + b.dense() + c.dense())
    voxels = {tuple(v) for x in (a, b, c) for v in x.indices.tolist()}
    assert {tuple(v) for v in y.indices.tolist()} == voxels
    assert len(y) == len(voxels)
    y.features.sum().backward()
    assert torch.equal(b.features.grad, torch.ones_like(b.features))


def test_a_sum_with_a_part_keeps_the_whole_ones_voxels():
    x = random_tensor((6, 5, 7))
    part = prune(x, x.features[:, 0] > 0)
    assert add(part, x).coordinates is x.coordinates
    assert add(x, x).coordinates is x.coordinates
    nothing = prune(x, torch.zeros(len(x), dtype=torch.bool))
    assert torch.equal(add(nothing, x).features, x.features)
    assert len(add(nothing, nothing)) == 0


def test_alignment_reads_zeros_where_nothing_is():
    a, b = (random_tensor((6, 5, 7), seed=s) for s in range(2))
    y = align(a, b)
    assert y.coordinates is b.coordinates
    wanted = a.dense().movedim(1, -1)[tuple(b.indices.long().T)]
    assert torch.equal(y.features, wanted)
    probe = torch.randn_like(wanted)
    ours = torch.autograd.grad(y.features, a.features, probe)[0]
    assert torch.equal(ours, torch.autograd.grad(wanted, a.features, probe)[0])


def test_channels_stand_beside_one_another():
    a, b = (random_tensor((6, 5, 7), seed=s) for s in range(2))
    union = concatenate([a, b], join="union")
    torch.testing.assert_close(union.dense(), torch.cat([a.dense(), b.dense()], 1))
    first = concatenate([a, b], join="first")
    assert torch.equal(first.features, torch.cat([a.features, align(b, a).features], 1))
    same = concatenate([a, a.with_features(a.features[:, :1])])
    assert (same.channels, same.coordinates) == (4, a.coordinates)
    with pytest.raises(ConfigError, match="different voxels"):
        concatenate([a, b])
    with pytest.raises(ConfigError, match="no join"):
        concatenate([a, b], join="left")


def test_unlike_grids_do_not_join():
    a, b = random_tensor((6, 6)), random_tensor((6, 7))
    with pytest.raises(ConfigError, match="different grids"):
        add(a, b)
    with pytest.raises(ConfigError, match="different grids"):
        align(a, MaxPool((2, 2))(a))


def test_wrong_pooling_says_so():
    with pytest.raises(ConfigError, match="1 or more"):
        MaxPool((0, 2))
    with pytest.raises(ConfigError, match="2 axes"):
        MaxPool((2, 2, 2))(random_tensor((4, 4)))
    with pytest.raises(ConfigError, match="mode"):
        TimePool("median")


def test_pooling_gives_the_same_bits_on_every_run():
    x = random_tensor((32, 12, 12, 12), channels=4)
    results = [TimePool("sum")(x).features.detach().numpy() for _ in range(3)]
    assert all(np.array_equal(results[0], again) for again in results[1:])
