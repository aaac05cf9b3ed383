"""The U-Nets on whole volumes: dense torch on full grids, pruning by hand, empty tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.registry import build, preset
from napari_ulm3d.networks.volumes.completion import CompletionNet
from napari_ulm3d.networks.volumes.config import (
    FEATURES,
    CompletionNetConfig,
    SegmentationNetConfig,
    SuperResolutionNetConfig,
)
from napari_ulm3d.networks.volumes.evidence import Evidence
from napari_ulm3d.networks.volumes.segmentation import SegmentationNet
from napari_ulm3d.networks.volumes.superresolution import SuperResolutionNet
from napari_ulm3d.networks.volumes.unet import contained, pyramid
from napari_ulm3d.sparse import Coordinates, SparseTensor

SIZES = {"channels": (3, 4, 5), "convolutions": 1}
N = len(FEATURES)


def network(name: str, **more: object) -> nn.Module:
    torch.manual_seed(3)
    made = build(name, {**SIZES, **more}).eval()
    for part, layer in made.named_modules():  # unlike those of a new network
        if isinstance(layer, nn.LayerNorm):
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.uniform_(-0.2, 0.2)
        elif part.endswith("head"):
            nn.init.normal_(layer.weight, std=0.5)
    return made


def set_heads(made: nn.Module, logit: float) -> None:
    for name, layer in made.named_modules():
        if name.endswith("head"):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, logit)


def sparse(shape: tuple[int, ...], share: float, seed: int = 0) -> SparseTensor:
    torch.manual_seed(seed)
    mask = torch.rand(1, *shape) < share
    return SparseTensor.from_dense(torch.rand(1, N, *shape) + 0.1, mask)


def empty(shape: tuple[int, ...]) -> SparseTensor:
    return SparseTensor.create(torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, N), shape)


def full(shape: Sequence[int], level: int) -> Coordinates:
    """All voxels of a grid."""
    places = torch.ones(1, *shape).nonzero().int()
    return Coordinates.create(places, tuple(shape), stride=(2.0**level,) * 3)[0]


def spread_out(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Rows of all voxels as (1, channels, z, y, x)."""
    return rows.reshape(1, *shape, -1).movedim(-1, 1)


def dense_unit(unit: nn.Sequential, x: Tensor, convolve: Callable[[nn.Module, Tensor], Tensor]):
    norm = unit[1]
    y = convolve(unit[0], x).movedim(1, -1)
    return functional.elu(
        functional.layer_norm(y, y.shape[-1:], norm.weight, norm.bias, norm.eps)
    ).movedim(-1, 1)


def same(layer: nn.Module, x: Tensor) -> Tensor:
    return functional.conv3d(x, layer.weight.movedim(-1, 1), layer.bias, padding="same")


def down(layer: nn.Module, x: Tensor) -> Tensor:
    return functional.conv3d(x, layer.weight.movedim(-1, 1), layer.bias, stride=2)


def up(layer: nn.Module, x: Tensor) -> Tensor:
    padding = {2: 0, 4: 1}[layer.kernel_size[0]]
    weight = layer.weight.movedim(-1, 0)
    return functional.conv_transpose3d(x, weight, layer.bias, stride=2, padding=padding)


def body(units: nn.Sequential, x: Tensor) -> Tensor:
    for unit in units:
        x = dense_unit(unit, x, same)
    return x


def dense_descent(made: nn.Module, x: Tensor) -> list[Tensor]:
    levels = [body(made.descent.first, dense_unit(made.descent.stem, x, same))]
    for step in made.descent.down:
        levels.append(body(step[1], dense_unit(step[0], levels[-1], down)))
    return levels


def dense_stage(
    stage: nn.Module,
    x: Tensor,
    skip: Tensor | None,
    evidence: Evidence,
    coarser: SparseTensor | None,
) -> tuple[Tensor, Tensor, SparseTensor]:
    y = dense_unit(stage.up, x, up)
    y = y if skip is None else torch.cat([y, skip], 1)
    shape = y.shape[2:]
    voxels = full(shape, stage.level)
    # What the evidence is, test_vessel_evidence.py holds against scipy's filters.
    known = spread_out(evidence.at(voxels, stage.level, coarser), shape)
    y = body(stage.body, dense_unit(stage.merge, torch.cat([y, known], 1), same))
    head, prior = (
        torch.einsum("bczyx,oc->bozyx", z, layer.weight) + layer.bias[:, None, None, None]
        for z, layer in ((y, stage.head), (known, stage.prior))
    )
    logit = head + prior
    return y, logit, SparseTensor(logit.movedim(1, -1).reshape(-1, 1), voxels)


@pytest.mark.parametrize("name", ["CompletionNet", "SuperResolutionNet"])
def test_on_a_full_grid_without_pruning_it_is_the_dense_network(name):
    made = network(name, keep=1e-6, **({"fine_channels": (2,)} if "Super" in name else {}))
    # In double precision: the norm of two channels that are nearly equal blows rounding up.
    made = made.double()
    x = torch.rand(1, N, 8, 4, 12, dtype=torch.float64)
    given = SparseTensor.from_dense(x, torch.ones(1, 8, 4, 12, dtype=torch.bool))
    levels = dense_descent(made, x)
    evidence = Evidence(given, made.config.levels)
    y, logits, coarser = levels[-1], [], None
    for stage, skip in zip(made.ascent, reversed(levels[:-1]), strict=True):
        y, logit, coarser = dense_stage(stage, y, skip, evidence, coarser)
        logits.append(logit)
    for stage in getattr(made, "doubling", ()):
        y, logit, coarser = dense_stage(stage, y, None, evidence, coarser)
        logits.append(logit)
    found = made(given)
    assert len(found.logits) == len(logits)
    for one, other in zip(found.logits, logits, strict=True):
        torch.testing.assert_close(one.dense(), other, atol=1e-8, rtol=1e-8)


def test_segmentation_on_a_full_grid_is_the_dense_network():
    made = network("SegmentationNet")
    x = torch.rand(1, N, 8, 4, 4)
    given = SparseTensor.from_dense(x, torch.ones(1, 8, 4, 4, dtype=torch.bool))
    levels = dense_descent(made, x)
    y = levels[-1]
    for layer, merge, skip in zip(made.up, made.merge, reversed(levels[:-1]), strict=True):
        y = torch.cat([up(layer, y), skip], 1)
        y = body(merge[1], dense_unit(merge[0], y, same))
    known = Evidence(given, 0).at(full((8, 4, 4), 0), 0)
    y = torch.cat([y, spread_out(known, (8, 4, 4))], 1)
    vessel = torch.einsum("bczyx,oc->bozyx", y, made.vessel.weight) + made.vessel.bias
    found = made(given)
    torch.testing.assert_close(found.vessel.dense(), vessel, atol=1e-4, rtol=1e-4)


def test_segmentation_speaks_of_the_voxels_it_was_given():
    x = sparse((11, 6, 9), 0.1)
    found = network("SegmentationNet")(x)
    assert torch.equal(found.vessel.indices, x.indices)
    assert found.kind.channels == 3


@pytest.mark.parametrize("training", [False, True])
def test_heads_that_refuse_all_leave_nothing(training):
    made = network("CompletionNet").train(training)
    set_heads(made, -30.0)
    assert len(made(sparse((10, 7, 9), 0.05)).output) == 0


def test_heads_that_accept_all_keep_every_voxel_made_and_none_outside():
    made = network("CompletionNet")
    set_heads(made, 30.0)
    x = sparse((5, 7, 3), 0.05)
    found = made(x)
    assert len(found.output) == len(found.logits[-1])
    assert (found.output.indices[:, 1:] < torch.tensor([5, 7, 3])).all()
    assert contained(
        Coordinates(x.indices, found.output.shape, 1, x.stride), found.output.coordinates
    ).all()


def test_new_voxels_lie_next_to_the_coarsest_ones():
    made = network("CompletionNet")
    set_heads(made, 30.0)
    place = torch.tensor([[0, 17, 13, 21]])
    x = SparseTensor.create(place, torch.rand(1, N), (32, 32, 32))
    found = made(x).output.indices[:, 1:]
    # A coarsest voxel (4) makes 4 fine voxels an axis of half its size: itself and half around.
    low, high = found.amin(0), found.amax(0)
    assert torch.equal(low, torch.tensor([14, 10, 18]))
    assert torch.equal(high, torch.tensor([21, 17, 25]))


@pytest.mark.parametrize("shape", [(9, 5, 6), (12, 1, 7)])
@pytest.mark.parametrize("doublings", [1, 2])
def test_super_resolution_stops_at_any_scale(shape, doublings):
    made = network("SuperResolutionNet", fine_channels=(2, 2))
    set_heads(made, 30.0)
    x = sparse(shape, 0.1)
    found = made(x, doublings)
    limits = torch.tensor(shape) * 2**doublings
    assert (found.output.indices[:, 1:] < limits).all()
    # Every measured voxel's children are there.
    parents = torch.unique(found.output.indices[:, 1:] // 2**doublings, dim=0)
    assert len(parents) >= len(x)
    both = made(x)
    for one, other in zip(found.logits, both.logits, strict=False):
        torch.testing.assert_close(one.features, other.features)


def test_a_factor_that_the_network_does_not_know_is_refused():
    with pytest.raises(ConfigError, match="by 2 or 4"):
        network("SuperResolutionNet", fine_channels=(2, 2))(sparse((8, 8, 8), 0.1), 3)


@pytest.mark.parametrize("name", ["complete", "superres", "segment"])
@pytest.mark.parametrize("training", [False, True])
def test_an_empty_map_gives_an_empty_answer(name, training):
    made = preset(name).train(training)
    found = made(empty((9, 4, 6)))
    assert len(found.vessel if name == "segment" else found.output) == 0


@pytest.mark.parametrize("name", ["complete", "superres", "segment"])
def test_one_voxel_goes_through_and_trains(name):
    made = preset(name).train()
    x = SparseTensor.create(torch.tensor([[0, 3, 0, 2]]), torch.rand(1, N), (6, 1, 5))
    found = made(x)
    loss = found.vessel.features.sum() if name == "segment" else found.logits[-1].features.sum()
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize("name", ["complete", "superres", "segment"])
def test_other_channels_or_axes_are_refused(name):
    wrong = SparseTensor.from_dense(torch.ones(1, 2, 4, 4, 4))
    with pytest.raises(ConfigError, match="7 channels on 3 axes"):
        preset(name)(wrong)


def test_settings_that_make_no_network_are_refused():
    for config in (CompletionNetConfig, SuperResolutionNetConfig, SegmentationNetConfig):
        with pytest.raises(ConfigError, match="two levels"):
            config.from_dict({"channels": (8,)})
    with pytest.raises(ConfigError, match="one doubling"):
        SuperResolutionNetConfig.from_dict({"fine_channels": ()})


def test_pyramid_is_max_pooling():
    torch.manual_seed(0)
    mask = torch.rand(1, 1, 8, 8, 16) < 0.05
    voxels = Coordinates.create(mask[:, 0].nonzero(), mask.shape[2:])[0]
    for k, level in enumerate(pyramid(voxels, 4)):
        pooled = functional.max_pool3d(mask.float(), 2**k)[:, 0] > 0
        assert torch.equal(level.indices.long(), pooled.nonzero())


def test_classes_are_those_of_the_registry():
    for name, kind in (
        ("complete", CompletionNet),
        ("superres", SuperResolutionNet),
        ("segment", SegmentationNet),
    ):
        assert isinstance(preset(name), kind)
