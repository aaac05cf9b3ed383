"""BubbleNet with two bubbles per voxel, and with convolutions over space and time at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.localize.augmentation import averaged_output
from napari_ulm3d.localize.network import localize_network
from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleNetConfig
from napari_ulm3d.networks.bubblenet_input import BubbleInput, collate

TINY = BubbleNetConfig(stem=2, channels=(6,), blocks=1, head=8, time_kernel=1)
PAIRS = TINY.replace(per_voxel=2)


def lone_voxel(n_frames: int = 1) -> BubbleInput:
    """One kept voxel in the middle of each frame."""
    at = np.array([[t, 4, 4, 4] for t in range(n_frames)], np.int32)
    ones = np.ones(n_frames, np.complex64)
    return BubbleInput(at, ones, 5 * ones, (n_frames, 9, 9, 9), (2.0, 2.0, 2.0))


def always_a_pair(apart: float) -> BubbleNet:
    """A network that finds two bubbles in every voxel, `apart` voxels from each other along x."""
    model = BubbleNet(PAIRS)
    with torch.no_grad():
        last = model.head[-1]
        last.weight.zero_()
        said = torch.zeros(2, 11)
        said[:, 0] = torch.tensor([3.0, 2.0])
        half = np.arctanh(apart / 2 / PAIRS.reach_voxels)
        said[:, 3] = torch.tensor([half, -half])
        said[:, 4:7] = -2.0
        said[:, 10] = torch.tensor([1.0, 0.8])
        last.bias.copy_(said.flatten())
    return model.eval()


@pytest.mark.parametrize("views", [1, 2, 8])
def test_both_bubbles_of_a_voxel_are_localized(views: int) -> None:
    grid, apart = Grid((9, 9, 9), (100.0, 100.0, 100.0)), 1.4
    settings = NetworkConfig(views=views, min_score=0.3)
    found = localize_network(always_a_pair(apart), lone_voxel(3), grid, 100.0, 400.0, settings)
    table = found.table.sort_values(["frame", "x_um"])
    assert table["frame"].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(table["x_um"].to_numpy().reshape(3, 2), [[330, 470]] * 3, rtol=1e-4)
    np.testing.assert_allclose(table[["z_um", "y_um"]], 400, atol=1e-3)


def test_views_that_name_the_two_in_another_order_are_not_mixed() -> None:
    # Mirrored along x, this network gives the other one first.
    model, window = always_a_pair(1.4), lone_voxel()
    with torch.inference_mode():
        one = model(collate([window])).offset
        both = averaged_output(model, [window], 2)
    torch.testing.assert_close(both.offset, one, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both.logit, torch.tensor([3.0, 2.0]))


def test_a_second_bubble_that_is_not_believed_in_does_not_change_the_first() -> None:
    model, window = always_a_pair(1.4), lone_voxel()
    with torch.no_grad():
        model.head[-1].bias[11] = -4.0
    with torch.inference_mode():
        both = averaged_output(model, [window], 2)
    # The mirrored view says the opposite of the first: its mean lies in the middle.
    np.testing.assert_allclose(both.offset[0], 0, atol=1e-5)


@pytest.mark.parametrize("moving", [0, 1])
def test_a_bubble_that_leaves_its_voxel_is_seen_from_the_next_frame(moving: int) -> None:
    torch.manual_seed(1)
    model = BubbleNet(TINY.replace(moving_levels=moving)).eval()
    for block in model.moving.values():
        torch.nn.init.normal_(block.layers[2].weight)
    at = np.array([[0, 4, 4, 4], [1, 4, 4, 5]], np.int32)  # one voxel further in the next frame

    def first_voxel(amplitude: complex) -> torch.Tensor:
        values = np.array([5, amplitude], np.complex64)
        block = BubbleInput(at, values / 10, values, (2, 9, 9, 9), (2.0, 2.0, 2.0))
        with torch.inference_mode():
            return model(collate([block])).logit[0]

    assert (first_voxel(5) != first_voxel(20j)) == bool(moving)


def test_rows_of_a_batch_are_those_of_its_windows() -> None:
    torch.manual_seed(2)
    model = BubbleNet(PAIRS.replace(moving_levels=1)).eval()
    a, b = (random_block((4, 6, 5, 4), 0.3, seed) for seed in (1, 2))
    with torch.inference_mode():
        both, alone = model(collate([a, b])), [model(collate([one])) for one in (a, b)]
    assert both.logit.shape == (2 * (len(a) + len(b)),)
    for name in ("logit", "offset", "level"):
        wanted = torch.cat([getattr(one, name) for one in alone])
        torch.testing.assert_close(getattr(both, name), wanted, atol=1e-5, rtol=1e-4)
