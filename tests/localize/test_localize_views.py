"""Mirror images of a window, averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from napari_ulm3d.localize.augmentation import MIRRORS, averaged_output
from napari_ulm3d.networks import build
from napari_ulm3d.networks.bubblenet_input import BubbleInput, collate

COLUMNS = ("logit", "offset", "log_sigma", "velocity", "level")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    made = build("BubbleNet", {"stem": 2, "channels": [4, 6], "blocks": 1, "head": 8})
    for parameter in made.parameters():  # as little symmetric as can be
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made.eval()


@pytest.fixture(scope="module")
def window() -> BubbleInput:
    return random_block((5, 6, 4, 8), 0.2, 2, level=3.0)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_a_mirrored_window_has_the_mirrored_predictions(network, window, views: int) -> None:
    """The first views are a group: averaging over them makes any network symmetric."""
    with torch.inference_mode():
        plain = averaged_output(network, [window], views)
        for axes in MIRRORS[1:views]:
            image, rows = window.mirrored(axes)
            out = averaged_output(network, [image], views)
            space = torch.tensor([-1.0 if a in axes else 1.0 for a in (1, 2, 3)])
            signs = {"offset": space, "velocity": space * (-1.0 if 0 in axes else 1.0)}
            for name in COLUMNS:
                expected = getattr(plain, name)[rows] * signs.get(name, 1.0)
                torch.testing.assert_close(getattr(out, name), expected, rtol=1e-3, atol=1e-4)
        # And the network by itself is not.
        image, rows = window.mirrored(MIRRORS[1])
        alone = averaged_output(network, [window], 1).logit[rows]
        assert not torch.allclose(averaged_output(network, [image], 1).logit, alone, atol=1e-2)


def test_rows_are_those_of_the_window(network, window) -> None:
    with torch.inference_mode():
        out = averaged_output(network, [window], 4)
        one = network(collate([window]))
    np.testing.assert_array_equal(out.coordinates.indices[:, 1:], window.coordinates)
    assert out.offset.abs().max() <= network.config.reach_voxels
    low, high = one.log_sigma.min() - 2, one.log_sigma.max() + 2
    assert ((out.log_sigma > low) & (out.log_sigma < high)).all()


def test_a_mirror_of_a_mirror_is_the_window(window) -> None:
    image, rows = window.mirrored((0, 1, 3))
    again, back = image.mirrored((0, 1, 3))
    np.testing.assert_array_equal(again.coordinates, window.coordinates)
    np.testing.assert_array_equal(again.correlation, window.correlation)
    np.testing.assert_array_equal(rows[back], np.arange(len(window)))
    np.testing.assert_array_equal(image.correlation, window.correlation[rows].conj())
