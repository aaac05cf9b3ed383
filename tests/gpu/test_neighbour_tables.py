"""What a GPU computes by tables of neighbours is what the CPU computes by lists of pairs."""

from __future__ import annotations

import pytest
import torch
from bubble_blocks import random_block

from benchmarks.gpu.counting import counted
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks import build
from napari_ulm3d.networks.bubblenet import BubbleNet
from napari_ulm3d.networks.bubblenet_input import collate
from napari_ulm3d.sparse import (
    Coordinates,
    InverseConv,
    MaxPool,
    SparseConv,
    SparseTensor,
    SparseTransposedConv,
    SubmanifoldConv,
    TimePool,
    add,
    align,
    prepare,
    tables_everywhere,
)
from napari_ulm3d.sparse.backends import backend_tables


def random_tensor(shape=(7, 6, 9), channels=4, share=0.3, batch=2, seed=0) -> SparseTensor:
    generator = torch.Generator().manual_seed(seed)
    indices = (torch.rand(batch, *shape, generator=generator) < share).nonzero()
    features = torch.randn(len(indices), channels, generator=generator, dtype=torch.float64)
    features = (4 * features).round() / 4  # equal values in one block
    return SparseTensor.create(indices, features.requires_grad_(), shape, batch)


@pytest.fixture
def chunks_of_few(monkeypatch) -> None:
    monkeypatch.setattr(backend_tables, "GATHERED_BYTES", 8 * 27 * 4 * 50)


def union(x: SparseTensor) -> SparseTensor:
    other = random_tensor(seed=1)
    return add(align(x, other), x)


LAYERS = {
    "submanifold": SubmanifoldConv(4, 6, (3, 3, 3)),
    "one axis, no bias": SubmanifoldConv(4, 6, (5, 1, 1), bias=False),
    "strided": SparseConv(4, 6, (3, 3, 3), 2),
    "transposed": SparseTransposedConv(4, 6, (3, 2, 2), 2),
    "max": MaxPool((2, 2, 3)),
    "time max": TimePool("max"),
    "time mean": TimePool("mean"),
    "time sum": TimePool("sum"),
    "union": union,
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_layers_agree_forward_and_backward(name: str, share: float, chunks_of_few) -> None:
    layer = LAYERS[name]
    weights = list(layer.double().parameters()) if isinstance(layer, torch.nn.Module) else []

    def work():
        x = random_tensor(share=share)
        y = layer(x)
        asked = (y.features.square() * torch.arange(1.0, len(y) + 1)[:, None]).sum()
        return [y.indices, y.features, *torch.autograd.grad(asked, [x.features, *weights])]

    lists = work()
    with tables_everywhere():
        tables = work()
    for found, wanted in zip(tables, lists, strict=True):
        torch.testing.assert_close(found, wanted)


def test_the_way_back_agrees() -> None:
    down, up = (
        SparseConv(4, 5, (2, 2, 2), 2, 0).double(),
        InverseConv(5, 3, (2, 2, 2), 2, 0).double(),
    )

    def work():
        x = random_tensor()
        y = up(down(x), x)
        given = [x.features, *down.parameters(), *up.parameters()]
        return [y.features, *torch.autograd.grad(y.features.square().sum(), given)]

    lists = work()
    with tables_everywhere():
        tables = work()
    for found, wanted in zip(tables, lists, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_maximum_of_nothing_known_is_nothing_known() -> None:
    def work(x):
        y = MaxPool((2, 2, 2))(x)
        return y.features, torch.autograd.grad(y.features.nansum(), x.features)[0]

    x = random_tensor()
    with torch.no_grad():
        x.features[::7] = torch.nan
    lists = work(x)
    with tables_everywhere():
        tables = work(x.with_coordinates(x.features, x.coordinates.to("cpu")))
        fresh = Coordinates(x.indices, x.shape, x.batch_size, x.stride)
        tables = work(x.with_coordinates(x.features, fresh))
    for found, wanted in zip(tables, lists, strict=True):
        torch.testing.assert_close(found, wanted, equal_nan=True)


@pytest.fixture(scope="module")
def network() -> BubbleNet:
    torch.manual_seed(3)
    made = build("BubbleNet", {"stem": 4, "channels": [8, 12, 16], "blocks": 1, "head": 8})
    assert isinstance(made, BubbleNet)
    return made.eval()


def test_a_network_agrees(network) -> None:
    windows = [random_block((6, 9, 8, 11), 0.1, seed) for seed in range(2)]
    with torch.inference_mode():
        lists = network(collate(windows))
        with tables_everywhere():
            tables = network(collate(windows))
    for name in ("logit", "offset", "log_sigma", "velocity", "level"):
        torch.testing.assert_close(
            getattr(tables, name), getattr(lists, name), rtol=1e-5, atol=1e-5
        )


def test_a_pass_waits_once_and_launches_as_much_whatever_it_holds(network) -> None:
    launches = []
    for n_windows, share in ((1, 0.02), (4, 0.2)):
        windows = [random_block((12, 9, 8, 11), share, seed) for seed in range(n_windows)]
        with tables_everywhere(), torch.inference_mode():
            x = collate(windows)
            _, counts = counted(lambda x=x: network(x))
        assert counts.waited == {"tolist": 1}  # how many voxels the coarser grids have
        launches.append(counts.launches)
    assert launches[0] == launches[1]


def test_a_pass_needs_no_value_of_the_device(network) -> None:
    """On tensors that have a shape and no values, asking for one is an error."""
    x = collate([random_block((12, 9, 8, 11), 0.1)])
    sizes, grid = [], x.coordinates
    for _ in range(2):
        grid = MaxPool((1, 2, 2, 2))(SparseTensor(torch.zeros(len(grid), 1), grid)).coordinates
        sizes.append(len(grid))
    unreal = build("BubbleNet", network.config.model_dump()).eval().to("meta")
    with torch.inference_mode():
        moved = x.to("meta", "torch")
        prepare(moved.coordinates, [(1, 2, 2, 2)] * 2, sizes)
        out = unreal(moved)
        assert out.logit.device.type == "meta"
        assert out.logit.shape == (len(x),)
        with pytest.raises((RuntimeError, NotImplementedError)):
            unreal(x.to("meta", "torch"))  # how many voxels the coarser grids have


def test_coordinates_are_checked_in_one_wait() -> None:
    x = random_tensor()
    order = torch.randperm(len(x))
    with tables_everywhere():
        for rows, sorted_ in ((order, False), (order.sort()[0], True)):
            (made, back), counts = counted(
                lambda rows=rows: Coordinates.create(x.indices[rows], x.shape, x.batch_size)
            )
            assert counts.waits == 1
            assert torch.equal(made.indices, x.indices)
            assert (back is None) == sorted_
        for wrong, says in (
            (x.indices[:3].repeat(2, 1), "twice"),
            (x.indices + 1, "exceed the grid"),
            (x.indices - 1, "exceed the grid"),
        ):
            with pytest.raises(ConfigError, match=says):
                Coordinates.create(wrong, x.shape, x.batch_size)
