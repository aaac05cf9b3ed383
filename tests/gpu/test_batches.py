"""Many windows and views in one pass say what one window after the other says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bubble_blocks import random_block

from benchmarks.gpu.counting import counted
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.localize import network as stage
from napari_ulm3d.localize.augmentation import averaged_output
from napari_ulm3d.localize.network import predict
from napari_ulm3d.localize.passes import Pass, halves_of_pass, passes
from napari_ulm3d.localize.pieces import Context, Cutter, Piece
from napari_ulm3d.networks import build
from napari_ulm3d.networks.memory import forward_bytes
from napari_ulm3d.networks.shipped import find_weights, load_weights
from napari_ulm3d.sparse import (
    Coordinates,
    Reuse,
    kernel_maps,
    submanifold_map,
    tables_everywhere,
)

SHAPE = (30, 8, 7, 6)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    made = build("BubbleNet", {"stem": 2, "channels": [4, 6, 8], "blocks": 1, "head": 8})
    for parameter in made.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made.eval()


def found_by(network, block, config, **options):
    parts = list(predict(network, block, config, **options))
    names = ("frame", "probability", "position", "sigma", "velocity", "level")
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]


@pytest.mark.parametrize("views", [1, 2, 8])
@pytest.mark.parametrize("window_frames", [None, 16])
def test_batches_equal_windows_whatever_the_memory_holds(network, views, window_frames) -> None:
    block = random_block(SHAPE, 0.05, first_frame=100)
    config = NetworkConfig(views=views, window_frames=window_frames, min_score=0.0)
    alone = found_by(network, block, config)
    assert len(alone[0]) > 50
    seen = set()
    for share in (0.7, 1.2, 4.0, 40.0):
        room = share * len(block) * forward_bytes(network.config) / 1e9
        held: list[int] = []
        with tables_everywhere(), pytest.MonkeyPatch.context() as patch:

            def watched(model, windows, *args, held=held, **options):
                held.append(sum(map(len, windows)) * options["at_once"])
                return averaged_output(model, windows, *args, **options)

            patch.setattr(stage, "averaged_output", watched)
            batched = found_by(network, block, config.replace(memory_gb=room))
        for a, b in zip(alone, batched, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        seen.add(len(held))
    assert len(held) == 1  # all that memory: one pass
    assert len(seen) > 1


def test_windows_of_unlike_size_share_a_pass(network) -> None:
    windows = [random_block((9, 8, 7, 6), 0.2, 1), random_block((4, 5, 7, 10), 0.1, 2)]
    with torch.inference_mode():
        alone = [averaged_output(network, [window], 4) for window in windows]
        both = averaged_output(network, windows, 4, at_once=4)
        with tables_everywhere():
            tables = averaged_output(network, windows, 4, at_once=3)
    for name in ("logit", "offset", "log_sigma", "velocity", "level"):
        wanted = torch.cat([getattr(out, name) for out in alone])
        for out in (both, tables):
            torch.testing.assert_close(getattr(out, name), wanted, rtol=1e-5, atol=1e-5)


def test_launches_are_a_twentieth_of_those_of_a_window_at_a_time() -> None:
    """A window of 32 frames in 2 views took 7,141 launches and 157 waits before there were batches."""
    network = load_weights(find_weights(None, "bubblenet"), ("BubbleNet",)).network.eval()
    windows = [random_block((34, 12, 10, 8), 0.01, seed) for seed in range(7)]
    with tables_everywhere(), torch.inference_mode():
        _, counts = counted(lambda: averaged_output(network, windows, 2, at_once=2))
    assert counts.launches < 7141 / 20 * len(windows)
    assert counts.launches < 500
    assert counts.waits == 1


def piece(first: int) -> Piece:
    box = ((first, first + 1), (0, 4), (0, 4), (0, 4))
    return Piece(box, box)


def test_passes_hold_what_fits() -> None:
    pieces = [piece(k) for k in range(5)]
    sizes = dict(zip(pieces, (3, 4, 9, 1, 2), strict=True))
    assert passes(pieces, sizes.__getitem__, 4, None) == [Pass((one,)) for one in pieces]
    made = passes(pieces, sizes.__getitem__, 4, 8)
    assert [len(one.pieces) for one in made] == [2, 1, 2]  # a piece that is too large, alone
    assert [one.views for one in made] == [1, 1, 2]
    assert passes(pieces, sizes.__getitem__, 4, 100) == [Pass(tuple(pieces), 4)]
    assert passes([], sizes.__getitem__, 4, 100) == []


def test_what_does_not_fit_is_made_less_until_nothing_can_be() -> None:
    coordinates = np.argwhere(np.ones((8, 1, 1, 1))).astype(np.int32)
    cutter = Cutter(coordinates, (8, 1, 1, 1), Context(0, 0))
    todo = [Pass((cutter.window((0, 4)), cutter.window((4, 8))), 4)]
    frames = []
    while todo:
        one = todo.pop(0)
        smaller = halves_of_pass(one, cutter.halves)
        if smaller is None:
            frames.append(one.pieces[0].kept[0])
        else:
            todo = smaller + todo
    assert frames == [(k, k + 1) for k in range(8)]


def test_maps_of_equal_windows_are_made_once() -> None:
    indices = torch.from_numpy(np.argwhere(np.ones((1, 3, 4, 5)))).int()
    reuse = Reuse()

    def window(rows=slice(None), kind="a"):
        return reuse.known(kind, Coordinates(indices[rows], (3, 4, 5), 1, (1, 1, 1)))

    window()
    second = window()
    pairs = submanifold_map(second, (3, 3, 3))
    assert submanifold_map(window(), (3, 3, 3)) is pairs
    assert submanifold_map(window(kind="b"), (3, 3, 3)) is not pairs
    assert window(slice(1, None)) is not second
    assert window() is not second  # another size in between: forgotten


def test_a_network_runs_equal_windows_on_the_maps_it_has(network) -> None:
    shape = (12, 4, 4, 4)
    block = random_block(shape, 2.0)  # every voxel
    config = NetworkConfig(window_frames=8, margin_frames=0, views=2, min_score=0.0)
    made: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "windows_at_once", lambda device: 1)
        match = kernel_maps._match
        patch.setattr(kernel_maps, "_match", lambda *a, **k: made.append(1) or match(*a, **k))
        found = found_by(network, block, config.replace(window_frames=3))
        four_windows, made[:] = len(made), []
        found_by(network, block.window(0, 3), config)
    assert len(found[0])
    assert four_windows == 2 * len(made)  # of the third on they are known
