"""What a smoothed map alone says: beside scipy's and torch's filters, and where networks start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from napari_ulm3d.networks.volumes.completion import CompletionNet
from napari_ulm3d.networks.volumes.config import FEATURES, CompletionNetConfig
from napari_ulm3d.networks.volumes.evidence import Evidence
from napari_ulm3d.sparse import ChannelNorm, Coordinates, SparseTensor

SHAPE = (16, 8, 24)


def tensor(seed: int, share: float = 0.1) -> tuple[SparseTensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random(SHAPE) < share, rng.exponential(1, SHAPE), 0).astype(np.float32)
    places = np.argwhere(dense)
    values = np.zeros((len(places), len(FEATURES)), np.float32)
    values[:, 0], values[:, 1] = 1, dense[dense > 0]
    indices = np.pad(places, ((0, 0), (1, 0))).astype(np.int32)
    x = SparseTensor.create(torch.as_tensor(indices), torch.as_tensor(values), SHAPE)
    return x, torch.as_tensor(dense)


def everywhere(shape, stride=(1.0, 1.0, 1.0)) -> Coordinates:
    places = np.argwhere(np.ones(shape, bool))
    indices = torch.as_tensor(np.pad(places, ((0, 0), (1, 0))).astype(np.int32))
    return Coordinates.create(indices, shape, stride=stride)[0]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_evidence_is_the_sum_over_blocks_smoothed_as_scipy_does(level):
    x, dense = tensor(level)
    step = 2**level
    sums = (functional.avg_pool3d(dense[None, None], step) * step**3)[0, 0].numpy()
    found = Evidence(x, 3).at(everywhere(sums.shape, (float(step),) * 3), level)
    for column, one in enumerate(((1,), (1, 2, 1), (1, 4, 6, 4, 1))):
        smooth = sums
        for axis in range(3):
            weights = np.array(one) / sum(one)
            smooth = ndimage.convolve1d(smooth, weights, axis, mode="constant")
        np.testing.assert_allclose(
            found[:, column].reshape(sums.shape), np.log1p(8 * smooth), rtol=1e-4, atol=1e-5
        )
    assert not found[:, 3:].any()


@pytest.mark.parametrize("doublings", [1, 2])
def test_finer_evidence_is_interpolated_as_torch_does(doublings):
    x, dense = tensor(4)
    factor = 2**doublings
    fine = tuple(factor * n for n in SHAPE)
    found = Evidence(x, 1).at(everywhere(fine, (1 / factor,) * 3), -doublings)
    # A rim of zeros, as beyond the voxels that there are.
    wide = functional.pad(dense, (1,) * 6)[None, None]
    want = functional.interpolate(wide, scale_factor=factor, mode="trilinear")[0, 0]
    want = want[(slice(factor, -factor),) * 3]
    np.testing.assert_allclose(
        found[:, 0].reshape(fine), np.log1p(8 * want.numpy()), rtol=1e-4, atol=1e-5
    )


def test_an_untrained_network_is_a_smoothed_map():
    """Its answer hangs on the density alone: no weight that was drawn at random has a say."""
    x, _ = tensor(7)
    outputs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        outputs.append(CompletionNet(CompletionNetConfig(channels=(4, 6, 8)))(x).output)
    one, other = outputs
    assert len(one) > 100
    assert one.coordinates.same_voxels(other.coordinates)
    torch.testing.assert_close(one.features, other.features)


def test_channel_norm_treats_each_voxel_by_itself():
    x, _ = tensor(9)
    norm = ChannelNorm(len(FEATURES))
    alone = norm(x.with_features(x.features + torch.randn_like(x.features)))
    rows = alone.features.detach()
    torch.testing.assert_close(rows.mean(1), torch.zeros(len(rows)), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(len(rows)), atol=1e-2, rtol=0)
