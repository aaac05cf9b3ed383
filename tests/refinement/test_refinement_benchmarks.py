"""Parts of the benchmarks of refined maps: borders of sparse masks, coarser skulls, the dense rival."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from benchmarks.vessels.dense_rival.network import _Conv
from benchmarks.vessels.skull.volume import block_means, coarser
from benchmarks.vessels.superres import boundary_and_dice


def test_borders_are_those_of_erosion_and_near_ones_those_of_dilation():
    rng = np.random.default_rng(0)
    for _ in range(8):
        shape = tuple(rng.integers(3, 20, 3))
        true, found = (
            ndimage.gaussian_filter(rng.random(shape), rng.uniform(0.3, 2)) > 0.5 for _ in range(2)
        )
        a, b = (m & ~ndimage.binary_erosion(m) for m in (true, found))
        near = [ndimage.binary_dilation(m, np.ones((3, 3, 3))) for m in (a, b)]
        common = (a & near[1]).sum() + (b & near[0]).sum()
        dice, border = boundary_and_dice([(true, found)])
        assert border == pytest.approx(common / max(1, a.sum() + b.sum()))
        both = 2 * (true & found).sum()
        assert dice == pytest.approx(both / max(1, true.sum() + found.sum()))


def test_a_coarser_skull_has_the_blocks_that_are_half_bone():
    mask = np.zeros((5, 4, 6), bool)
    mask[:2, :2, :2] = True
    mask[0, 2, 0] = True
    mask[4, :4, 0] = True
    means = block_means(mask, 2)
    assert means.shape == (3, 2, 3)
    assert means[0, 0, 0] == 1
    assert means[0, 1, 0] == pytest.approx(1 / 8)
    assert means[2, 0, 0] == pytest.approx(1 / 4)  # half of it lies outside
    assert np.argwhere(coarser(mask, 2)).tolist() == [[0, 0, 0]]
    assert coarser(mask, 1) is mask


def test_the_convolution_of_the_dense_rival_is_that_of_torch():
    torch.manual_seed(0)
    layer = _Conv(5, 7, 3, padding=1)
    x = torch.randn(1, 5, 6, 9, 8, requires_grad=True)
    out = layer(x)
    expected = functional.conv3d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)
    grad = torch.autograd.grad(out.square().sum(), layer.weight)[0]
    wanted = torch.autograd.grad(expected.square().sum(), layer.weight)[0]
    torch.testing.assert_close(grad, wanted, atol=1e-2, rtol=1e-3)
