"""BubbleNet: invariances of its first layer, and the positions of its predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleNetConfig, ComplexConv
from napari_ulm3d.networks.bubblenet_input import (
    BubbleInput,
    bubble_input,
    collate,
    noise_level,
)
from napari_ulm3d.sparse import SparseTensor
from napari_ulm3d.sparse_frames import SparseFrames

TINY = BubbleNetConfig(stem=3, channels=(8, 12), blocks=1, head=8)


def some_input(shape=(6, 8, 7, 6), share=0.2, seed=0) -> BubbleInput:
    return random_block(shape, share, seed, level=3.0)


def predictions(model, *blocks):
    with torch.no_grad():
        out = model.eval()(collate(list(blocks)))
    return torch.cat(
        [out.logit[:, None], out.offset, out.log_sigma, out.velocity, out.level[:, None]], dim=1
    )


def test_complex_convolution_is_numpys_complex_correlation():
    layer = ComplexConv(2, 3, (1, 3, 3, 3)).double()
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(2, 5, 4, 6, 2)) @ [1, 1j]
    stacked = torch.from_numpy(np.concatenate([dense.real, dense.imag]))
    x = SparseTensor.from_dense(stacked[None, :, None])
    out = layer(x).dense()[0, :, 0].detach().numpy()
    weight = (layer.real + 1j * layer.imag).detach().numpy()[:, 0]
    padded = np.pad(dense, [(0, 0), (1, 1), (1, 1), (1, 1)])
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(1, 2, 3))
    expected = np.einsum("czyxijk,oijkc->ozyx", patches, weight)
    np.testing.assert_allclose(out, np.concatenate([expected.real, expected.imag]), atol=1e-12)


def test_phase_of_the_whole_does_not_matter():
    model, block = BubbleNet(TINY), some_input()
    turn = np.complex64(np.exp(1.1j))
    turned = replace(block, correlation=block.correlation * turn, amplitude=block.amplitude * turn)
    torch.testing.assert_close(
        predictions(model, block), predictions(model, turned), atol=2e-5, rtol=1e-4
    )


def test_phase_between_voxels_matters():
    model, block = BubbleNet(TINY), some_input()
    turn = np.exp(1.1j * block.coordinates[:, 3]).astype(np.complex64)
    turned = replace(block, correlation=block.correlation * turn, amplitude=block.amplitude * turn)
    assert (predictions(model, block) - predictions(model, turned)).abs().max() > 1e-3


def test_samples_of_a_batch_do_not_mix():
    model, a, b = BubbleNet(TINY), some_input(seed=1), some_input(seed=2)
    both = predictions(model, a, b)
    alone = torch.cat([predictions(model, a), predictions(model, b)])
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(5, 9, 1, 7), (1, 4, 4, 4), (3, 1, 1, 1)])
def test_flat_and_short_windows(shape):
    block = some_input(shape, share=0.7)
    assert predictions(BubbleNet(TINY), block).shape == (len(block), 11)


def test_no_voxels_at_all():
    block = some_input(share=0.0)
    assert predictions(BubbleNet(TINY), block).shape == (0, 11)


def test_offsets_stay_within_reach():
    model = BubbleNet(TINY)
    with torch.no_grad():
        model.head[-1].weight.mul_(1e4)
    out = predictions(model, some_input())
    assert out[:, 1:4].abs().max() <= TINY.reach_voxels
    assert out[:, 4:7].min() >= -4
    assert out[:, 4:7].max() <= 1


@pytest.mark.parametrize("time_kernel", [1, 3, 7])
def test_it_looks_as_far_in_time_as_its_kernels(time_kernel):
    # One level with one block: the stem and the block each have a reach of half a kernel.
    model = BubbleNet(TINY.replace(channels=(8,), time_kernel=time_kernel))
    block = some_input((12, 5, 5, 5), share=0.6)
    plain = predictions(model, block)
    changed = block.amplitude.copy()
    changed[block.coordinates[:, 0] == 11] *= 3
    differs = (predictions(model, replace(block, amplitude=changed)) != plain).any(dim=1).numpy()
    assert block.coordinates[differs, 0].min() == 11 - 2 * (time_kernel // 2)


def test_an_even_number_of_frames_is_refused():
    with pytest.raises(ConfigError, match="odd"):
        BubbleNetConfig.from_dict({"time_kernel": 4})


def test_wrong_features_are_refused():
    x = collate([some_input()])
    with pytest.raises(ConfigError, match="9 channels"):
        BubbleNet(TINY)(x.with_features(x.features[:, :2]))


def test_windows_of_unlike_length_are_refused():
    with pytest.raises(ConfigError, match="same number of frames"):
        collate([some_input((4, 5, 5, 5)), some_input((3, 5, 5, 5))])


def test_a_plane_and_a_volume_in_one_batch_are_as_each_alone():
    model, plane, volume = BubbleNet(TINY), some_input((4, 9, 1, 7)), some_input((4, 5, 6, 5))
    both = predictions(model, plane, volume)
    alone = torch.cat([predictions(model, plane), predictions(model, volume)])
    torch.testing.assert_close(both, alone, atol=1e-5, rtol=1e-4)


def test_input_takes_the_carrier_off_and_scales_by_the_noise():
    z = np.arange(6)
    frames = np.tile((10 * np.exp(0.7j * z)).astype(np.complex64)[:, None, None], (2, 1, 3, 3))
    kept = SparseFrames.from_mask(frames / 10, np.ones(frames.shape, bool))
    block = bubble_input(frames, kept, fwhm_voxels=(2, 2, 2), carrier_rad=0.7, level=5.0)
    np.testing.assert_allclose(block.correlation, 1, atol=1e-6)
    np.testing.assert_allclose(block.amplitude, 2, atol=1e-6)


def test_noise_level_is_the_rms_of_complex_noise():
    rng = np.random.default_rng(0)
    noise = (rng.normal(size=(20, 20, 20, 20, 2)) @ [3, 3j]).astype(np.complex64)
    assert noise_level(noise) == pytest.approx(3 * np.sqrt(2), rel=0.01)


def test_window_counts_from_its_first_frame():
    block = some_input()
    part = block.window(2, 5)
    assert part.shape == (3, 8, 7, 6)
    assert part.first_frame == 2
    rows = (block.coordinates[:, 0] >= 2) & (block.coordinates[:, 0] < 5)
    moved = part.coordinates + np.array([2, 0, 0, 0])
    np.testing.assert_array_equal(moved, block.coordinates[rows])
    np.testing.assert_array_equal(part.amplitude, block.amplitude[rows])
