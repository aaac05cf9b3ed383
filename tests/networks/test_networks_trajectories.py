"""Networks that predict trajectories: sizes, shapes, options, dense compared with sparse."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks import (
    PRESETS,
    DeepSTULM,
    DeepSTULMConfig,
    build,
    preset,
    stored_bytes,
)
from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
from napari_ulm3d.networks.sparse_deepstulm import SparseDeepSTULM, likely_voxels
from napari_ulm3d.sparse import SparseTensor
from napari_ulm3d.sparse.convolution import InverseConv, SparseTransposedConv, SubmanifoldConv
from napari_ulm3d.sparse.normalization import Linear
from napari_ulm3d.train.trajectory.dice_loss import trajectory_loss
from napari_ulm3d.train.trajectory.targets import sample_trajectories

TINY = {
    "channels": 4,
    "input_kernel": 3,
    "convolutions": 1,
    "time_pools": (2, 2),
    "transition_pool": 2,
    "doublings": 2,
}


def tiny(seed: int = 0, **changes) -> SparseDeepSTULM:
    torch.manual_seed(seed)
    return SparseDeepSTULM(SparseDeepSTULMConfig(**{**TINY, **changes}))


def frames(shape=(16, 6, 5), occupancy=0.2, batch=2, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    indices = (torch.rand(batch, *shape, generator=generator) < occupancy).nonzero()
    features = torch.randn(len(indices), 2, generator=generator, dtype=dtype)
    return SparseTensor.create(indices, features, shape, batch)


def empty(shape=(16, 6, 5)):
    return SparseTensor.create(torch.zeros(0, 1 + len(shape), dtype=torch.int64),
                               torch.zeros(0, 2), shape)  # fmt: skip


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "millions", "exactly"),
    [
        ("dense-2d", "1.04", 1_044_945),
        ("sparse-2d", "1.05", 1_046_244),
        ("sparse-3d", "3.12", 3_120_772),
    ],
)
def test_parameter_counts_are_the_published_ones(name, millions, exactly):
    count = parameters(preset(name))
    assert f"{count / 1e6:.2f}" == millions
    assert count == exactly


def test_the_table_of_layers_sums_up():
    # Number of weights in each layer, as in the table of networks.architecture.
    for d, total in ((3, 1_046_244), (4, 3_120_772)):
        k, n = 3**d, 16

        def convs(width, k=k):
            return 3 * (k * width**2 + 3 * width)

        layers = [
            5**d * 2 * n + 3 * n,
            n * 32 + 3 * 32 + convs(32),
            32 * 64 + 3 * 64 + convs(64),
            k * 64 * 32 + 3 * 32 + 64 * 64 + 3 * 64 + convs(64),
            k * 64 * 32 + 3 * 32 + 48 * 32 + 3 * 32 + convs(32),
            k * 32 * 16 + 3 * 16,
            3 * (2 ** (d - 1) * 16 * 16 + 3 * 16 + convs(16)),
            k * 16 * 16 + 3 * 16,
            k * 16 * 8 + 3 * 8 + 8 + 1,
            3 * (k * 16 + 1),
        ]
        assert sum(layers) == total


def test_small_presets_are_small():
    for name in ("dense-2d", "sparse-2d", "sparse-3d"):
        assert parameters(preset(f"{name}-small")) < parameters(preset(name)) / 10


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_can_be_built(name):
    assert parameters(preset(name)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sparse-2d-small", "sparse-3d-small"])
def test_small_presets_learn_on_a_cpu(name):
    torch.manual_seed(0)
    network = preset(name)
    shape = (64, 8, 8) if "2d" in name else (64, 6, 5, 4)
    prediction = network(frames(shape, occupancy=0.02, batch=1))
    assert prediction.output.shape == (1, *(4 * n for n in shape[1:]))
    assert prediction.output.stride == (64, *(Fraction(1, 4),) * (len(shape) - 1))
    torch.stack([t.features.sum() for t in prediction.tensors]).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(16, 6, 5), (13, 7, 3), (16, 4, 5, 3), (5, 3, 1, 3)])
def test_the_output_is_one_time_step_of_the_super_resolved_grid(shape):
    network = tiny(space_axes=len(shape) - 1)
    prediction = network(frames(shape, occupancy=0.3))
    for k, head in enumerate(prediction.heads):
        assert head.shape == (-(-shape[0] // 8), *(n * 2**k for n in shape[1:]))
        assert head.stride == (8, *(Fraction(1, 2**k),) * (len(shape) - 1))
    assert prediction.output.shape == (1, *(4 * n for n in shape[1:]))
    for tensor in prediction.tensors:
        assert tensor.channels == 1
        assert ((tensor.features >= 0) & (tensor.features <= 1)).all()


def test_the_published_heads_run_at_128_frames_a_step():
    torch.manual_seed(0)
    config = SparseDeepSTULMConfig(channels=2, convolutions=1, input_kernel=3)
    assert config.head_time_stride == 128
    prediction = SparseDeepSTULM(config)(frames((512, 2, 2), occupancy=0.02, batch=1))
    assert [head.stride[0] for head in prediction.heads] == [128, 128, 128]
    assert [head.shape[0] for head in prediction.heads] == [4, 4, 4]
    assert prediction.output.stride == (512, Fraction(1, 8), Fraction(1, 8))


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_on_a_full_grid_sparse_and_dense_networks_are_one(separable, training):
    changes = {**TINY, "separable": separable}
    sparse = tiny(separable=separable, deep_supervision=False, pruning=False).double()
    dense = DeepSTULM(DeepSTULMConfig(**changes)).double()
    dense.load_state_dict(dense_weights(sparse))
    sparse.train(training)
    dense.train(training)
    torch.manual_seed(1)
    x = torch.randn(2, 2, 11, 5, 6, dtype=torch.float64)
    full = SparseTensor.from_dense(x, torch.ones(2, 11, 5, 6, dtype=torch.bool))
    ours, theirs = sparse(full).output.dense(), dense(x)
    assert ours.shape == theirs.shape == (2, 1, 1, 20, 24)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    weights = torch.rand_like(theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    gradients = {name: p.grad for name, p in dense.named_parameters()}
    for name, gradient in dense_weights(sparse, gradients=True).items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-7, atol=1e-9)


def dense_weights(network: nn.Module, gradients: bool = False) -> dict[str, torch.Tensor]:
    """The sparse network's parameters in the layout of torch's dense convolutions."""
    modules = dict(network.named_modules())
    values = (
        {name: p.grad for name, p in network.named_parameters()}
        if gradients
        else network.state_dict()
    )
    out = {}
    for name, value in values.items():
        owner = modules[name.rpartition(".")[0]]
        if name.endswith("weight"):
            if isinstance(owner, (InverseConv, SparseTransposedConv)):
                value = value.movedim(-1, 0)
            elif isinstance(owner, SubmanifoldConv):
                value = value.movedim(-1, 1)
            elif isinstance(owner, Linear):
                value = value[..., None, None, None]
        out[name] = value
    return out


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_no_voxels_in_no_voxels_out(training, axes):
    network = tiny(space_axes=axes).train(training)
    prediction = network(empty((16, 6, 5, 4)[: 1 + axes]))
    assert [len(t) for t in prediction.tensors] == [0, 0, 0]
    assert prediction.output.shape == (1, 24, 20, 16)[: 1 + axes]
    prediction.output.features.sum().backward()


def test_a_window_of_one_coarse_voxel_can_be_trained_on():
    torch.manual_seed(0)
    dense, x = DeepSTULM(DeepSTULMConfig(**TINY)), torch.randn(1, 2, 4, 4, 4)
    dense(x).sum().backward()
    tiny()(SparseTensor.from_dense(x)).output.features.sum().backward()
    assert all(p.grad.isfinite().all() for p in dense.parameters())


def test_the_same_seed_and_input_give_the_same_bits():
    def outcome():
        network = tiny(seed=7)
        prediction = network(frames())
        torch.stack([t.features.sum() for t in prediction.tensors]).sum().backward()
        return [t.features for t in prediction.tensors], [p.grad for p in network.parameters()]

    (first, gradients), (second, others) = outcome(), outcome()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


def test_a_sample_does_not_depend_on_its_neighbours_in_the_batch():
    network = tiny().eval()
    both = frames(batch=2)
    own = both.indices[:, 0] == 1
    indices = both.indices[own].clone()
    indices[:, 0] = 0
    alone = network(SparseTensor.create(indices, both.features[own], both.shape)).output
    together = network(both).output
    rows = together.indices[:, 0] == 1
    assert torch.equal(together.indices[rows][:, 1:], alone.indices[:, 1:])
    torch.testing.assert_close(together.features[rows], alone.features)


def heads_of(values, samples, batch):
    indices = torch.tensor([[s, 0, k] for k, s in enumerate(samples)])
    features = torch.tensor(values)[:, None]
    return SparseTensor.create(indices, features, (1, len(values)), batch)


def test_pruning_keeps_what_is_likely():
    x = heads_of([0.2, 0.51, 0.5, 0.9], [0, 0, 0, 0], 1)
    assert likely_voxels(x).tolist() == [False, True, False, True]


def test_pruning_keeps_the_maximum_when_nothing_is_likely():
    x = heads_of([0.2, 0.4, 0.4, 0.1], [0, 0, 0, 0], 1)
    assert likely_voxels(x).tolist() == [False, True, False, False]
    # Samples are independent: the first has a likely voxel, the second none, the third is empty.
    x = heads_of([0.7, 0.6, 0.1, 0.3], [0, 0, 1, 1], 3)
    assert likely_voxels(x).tolist() == [True, True, False, True]


def test_a_network_that_finds_nothing_likely_still_answers():
    network = tiny().eval()
    for head in network.heads:
        nn.init.constant_(head[0].bias, -50.0)
    prediction = network(frames())
    # One voxel per sample and scale: it creates 2 x 2 children, of which one is kept again.
    assert [len(prediction.heads[1]), len(prediction.output)] == [2 * 4, 2 * 4]


def test_pruning_up_samples_only_what_is_likely():
    x = frames()
    pruned, whole = tiny(), tiny(pruning=False)
    whole.load_state_dict(pruned.state_dict())
    a, b = pruned.eval()(x), whole.eval()(x)
    assert torch.equal(a.heads[0].features, b.heads[0].features)
    assert len(a.heads[1]) == 4 * int((a.heads[0].features > 0.5).sum())
    assert len(b.heads[1]) == 4 * len(b.heads[0])
    assert len(a.output) < len(b.output)


def test_a_cascade_grows_by_one_stage_a_phase():
    network, x = tiny().eval(), frames()
    whole = network(x)
    for phase in (0, 1):
        prediction = network(x, stages=phase)
        assert prediction.output is None
        assert len(prediction.heads) == phase + 1
        for ours, theirs in zip(prediction.tensors, whole.heads, strict=False):
            assert torch.equal(ours.features, theirs.features)
    assert torch.equal(network(x, stages=2).output.features, whole.output.features)


@pytest.mark.parametrize("stages", [-1, 3])
def test_a_cascade_has_no_other_stages(stages):
    with pytest.raises(ConfigError, match="cascade"):
        tiny()(frames(), stages=stages)


def test_a_cascade_needs_heads():
    network = tiny(deep_supervision=False, pruning=False)
    assert len(list(network.heads.parameters())) == 0
    with pytest.raises(ConfigError, match="deep_supervision"):
        network(frames(), stages=1)


def test_unfit_inputs_are_named():
    with pytest.raises(ConfigError, match="2 channels on 3 axes"):
        tiny()(frames((8, 4, 4, 4)))
    x = frames()
    with pytest.raises(ConfigError, match="2 channels"):
        tiny()(x.with_features(x.features[:, :1]))
    with pytest.raises(ConfigError, match="real and imaginary"):
        DeepSTULM(DeepSTULMConfig(**TINY))(torch.zeros(1, 1, 8, 4, 4))


def test_unfit_settings_are_named():
    with pytest.raises(ConfigError, match="pruning needs deep_supervision"):
        build("SparseDeepSTULM", {"deep_supervision": False})
    with pytest.raises(ConfigError, match="odd"):
        build("DeepSTULM", {"kernel": 4})
    with pytest.raises(ConfigError, match="Use SparseDeepSTULM in 3-D"):
        build("DeepSTULM", {"space_axes": 3})
    with pytest.raises(ConfigError, match="no network 'Unet'"):
        build("Unet")
    with pytest.raises(ConfigError, match="no network 'sparse-5d'"):
        preset("sparse-5d")


@pytest.mark.long
@pytest.mark.slow
def test_it_learns_trajectories():
    # Two bubbles that cross on straight lines, with a phase that depends on depth.
    grid = Grid((10, 1, 8), (100.0, 100.0, 100.0), (50.0, 0.0, 50.0))
    lines = [(120.0, 200.0, 25.0), (300.0, 650.0, -20.0)]
    rows = [
        (t, b, z + 30 * t, 0.0, x + v * t) for b, (z, x, v) in enumerate(lines) for t in range(16)
    ]
    truth = pd.DataFrame(rows, columns=["frame", "bubble_id", "z_um", "y_um", "x_um"])
    z_um, x_um = 50 + 100 * np.arange(10)[:, None], 50 + 100 * np.arange(8)
    images = np.zeros((16, 10, 8), complex)
    for t, _, z, _, x in rows:
        envelope = np.exp(-((z_um - z) ** 2 + (x_um - x) ** 2) / (2 * 80**2))
        images[t] += envelope * np.exp(4j * np.pi * z / 300)
    dense = torch.as_tensor(np.stack([images.real, images.imag])[None], dtype=torch.float32)
    windows = SparseTensor.from_dense(dense, torch.as_tensor(abs(images)[None] > 0.3))
    wanted = [sample_trajectories(truth, grid, 0, 16, upsampling=4, flat=True)]
    network = tiny(channels=8)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        trajectory_loss(network(windows), wanted)[0].backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        loss, parts = trajectory_loss(network(windows), wanted)
    assert loss < 0.1
    assert max(parts) < 0.2


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("shape", [(32, 16, 16), (19, 9, 7)])
def test_the_counted_bytes_are_those_that_torch_keeps(separable, shape):
    config = DeepSTULMConfig(channels=4, separable=separable)
    network = DeepSTULM(config)
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def pack(tensor):
        # Keep a reference, so that no storage is reused and attributed to another tensor.
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(torch.randn(1, 2, *shape))
    stored = sum(
        tensor.untyped_storage().nbytes() for at, tensor in kept.items() if at not in weights
    )
    assert stored_bytes(config, shape) == pytest.approx(stored, rel=0.02)
    with pytest.raises(ConfigError, match="does not match"):
        stored_bytes(config, (*shape, 4))
