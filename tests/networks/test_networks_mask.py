"""The network that selects voxels: its input, the voxels that it keeps, and its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks import MaskCNN, MaskCNNConfig


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MaskCNN(MaskCNNConfig(channels=4)).eval()


@pytest.mark.parametrize("shape", [(5, 6, 4, 3), (1, 3, 1, 3), (7, 2, 1, 1)])
def test_every_voxel_gets_a_logit(network, shape):
    out = network(torch.randn(2, 2, *shape))
    assert out.shape == (2, *shape)
    assert out.isfinite().all()


def test_samples_do_not_mix(network):
    x = torch.randn(2, 2, 6, 5, 4, 3)
    torch.testing.assert_close(network(x)[1:], network(x[1:]))


def test_it_sees_as_far_as_its_kernels_reach_and_no_further(network):
    # Two hidden layers of 3 in time; three of 3 in space.
    x = torch.randn(1, 2, 9, 9, 9, 9)
    moved = x.clone()
    moved[:, :, 4, 4, 4, 4] += 1
    touched = torch.nonzero(~torch.isclose(network(x), network(moved), atol=1e-7))
    reach = (touched[:, 1:] - 4).abs().amax(0)
    assert reach.tolist() == [2, 3, 3, 3]


def test_the_sparse_tensor_has_the_masked_voxels(network):
    x = torch.randn(1, 2, 5, 6, 1, 4)
    mask = network.mask(x)
    assert 0 < int(mask.sum()) < mask.numel()
    kept = network.sparsify(x)
    assert kept.indices.tolist() == mask.nonzero().tolist()
    flat = network.sparsify(x, flat=True)
    assert flat.shape == (5, 6, 4)
    assert torch.equal(flat.features, kept.features)
    assert torch.equal(flat.dense(), torch.where(mask, x, 0.0)[:, :, :, :, 0])


@pytest.mark.slow
def test_it_learns_to_keep_what_is_bright():
    torch.manual_seed(0)
    network = MaskCNN(MaskCNNConfig(channels=4, layers=2))
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(size=(1, 2, 8, 8, 1, 8)), dtype=torch.float32)
    wanted = (x**2).sum(1) > 2
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x), wanted.float())
        loss.backward()
        optimizer.step()
    agreement = (network.mask(x) == wanted).float().mean()
    assert agreement > 0.85


def test_unfit_inputs_are_named(network):
    with pytest.raises(ConfigError, match="y axis of length 1"):
        network(torch.zeros(1, 2, 4, 4, 4))
    with pytest.raises(ConfigError, match="not 2-D"):
        network.sparsify(torch.zeros(1, 2, 4, 4, 2, 4), flat=True)
