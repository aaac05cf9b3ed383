"""Pieces of a block: every voxel kept once, with all that a network looks at about it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.localize.pieces import Context, Cutter, cut_block, time_windows
from napari_ulm3d.networks import build
from napari_ulm3d.sparse import SparseTensor

SHAPE = (30, 41, 9, 26)


def voxels(shape=SHAPE, share=0.1):
    return np.argwhere(np.random.default_rng(0).random(shape) < share).astype(np.int32)


@pytest.mark.parametrize("most", [20_000, 6_000, 2_500, 1])
def test_every_voxel_is_kept_once_with_its_context(most: int) -> None:
    context = Context(3, 5, 4)
    cutter = Cutter(voxels(), SHAPE, context)
    whole = cutter.window((0, SHAPE[0]))
    pieces = list(cutter.fitting(whole, lambda piece: cutter.n_voxels(piece) <= most))
    times = np.zeros(SHAPE, int)
    for piece in pieces:
        times[tuple(slice(*span) for span in piece.kept)] += 1
        for k, (given, kept, n) in enumerate(zip(piece.given, piece.kept, SHAPE, strict=True)):
            reach = (3, 5, 5, 5)[k]
            assert given[0] <= max(0, kept[0] - reach)
            assert given[1] >= min(n, kept[1] + reach)
            if k:  # on the raster of the coarsest level, from either end
                assert given[0] % 4 == 0
                assert (n - given[1]) % 4 == 0
    assert (times == 1).all()
    large = [piece for piece in pieces if cutter.n_voxels(piece) > most]
    assert all(cutter.halves(piece) is None for piece in large)
    assert not large or most < 6_000
    assert sum(piece.size for piece in pieces) == np.prod(SHAPE)


def test_rows_are_those_in_the_box() -> None:
    at = voxels()
    box = ((3, 20), (0, SHAPE[1]), (2, 7), (11, 12))
    inside = [((at[:, k] >= low) & (at[:, k] < high)) for k, (low, high) in enumerate(box)]
    rows = Cutter(at, SHAPE, Context(0, 0)).rows(box)
    np.testing.assert_array_equal(rows, np.flatnonzero(np.all(inside, axis=0)))


def test_what_cannot_be_made_smaller_is_left_whole() -> None:
    cutter = Cutter(voxels(), SHAPE, Context(100, 100, 4))
    assert cutter.halves(cutter.window((0, 30))) is None


@pytest.mark.parametrize(("longest", "margin"), [(16, 0), (16, 4), (9, 4), (200, 3), (50, 0)])
def test_given_windows_hold_every_frame_once(longest: int, margin: int) -> None:
    spans = time_windows(50, margin, longest)
    assert [first for first, _ in spans] == [0, *(last for _, last in spans[:-1])]
    assert spans[-1][1] == 50
    given = [min(50, last + margin) - max(0, first - margin) for first, last in spans]
    assert max(given) <= longest


def test_windows_without_a_length_are_few_and_long() -> None:
    assert time_windows(200, 33) == [(0, 100), (100, 200)]
    assert time_windows(200, 33, alone=True) == [(0, 200)]
    assert len(time_windows(1000, 33)) == 4
    assert time_windows(60, 33) == [(0, 60)]  # two would compute nearly all of it twice
    assert time_windows(0, 33) == []
    assert time_windows(0, 33, 80) == []
    with pytest.raises(ConfigError, match="at least 67"):
        time_windows(200, 33, 66)
    assert time_windows(60, 33, 66) == [(0, 60)]


def test_one_large_piece_at_a_time_where_small_ones_would_overlap_too_much() -> None:
    cutter = Cutter(voxels((200, 8, 8, 8), 0.5), (200, 8, 8, 8), Context(60, 60, 4))
    room = 0.9 * cutter.n_kept
    cutting = cut_block(cutter, lambda at_once: room / at_once, at_once=4)
    assert cutting.at_once == 1
    assert cutting.largest <= room
    near = Cutter(voxels((200, 8, 8, 8), 0.5), (200, 8, 8, 8), Context(20, 60, 4))
    plenty = cut_block(near, lambda at_once: 1e9, at_once=4)
    assert plenty.at_once == 4
    assert len(plenty.pieces) == 2
    assert plenty.times_computed < 1.5


@pytest.mark.parametrize(
    ("channels", "moving"), [((4, 6), 0), ((4, 5, 6), 0), ((4, 6), 1), ((4, 5, 6), 2)]
)
def test_a_bubble_net_looks_as_far_as_it_says(channels, moving) -> None:
    torch.manual_seed(0)
    sizes = {"stem": 2, "channels": channels, "blocks": 1, "head": 8, "time_kernel": 5}
    net = build("BubbleNet", {**sizes, "moving_levels": moving}).eval()
    for block in net.moving.values():
        torch.nn.init.normal_(block.layers[2].weight)
    reach = net.config.context_frames
    for axis, far in ((0, reach), (1, net.config.context_voxels)):
        n = 2 * far + 9
        shape = [1, 1, 1, 1]
        shape[axis] = n
        at = np.argwhere(np.ones(shape)).astype(np.int32)
        index = torch.from_numpy(np.insert(at, 0, 0, axis=1))
        features = torch.randn(n, 9)

        def logit(features, index=index, shape=tuple(shape)):
            with torch.inference_mode():
                return net(SparseTensor.create(index, features, shape, 1)).logit

        moved = []
        for middle in range(far + 1, far + 5):  # every place within a coarse voxel
            other = features.clone()
            other[middle] = torch.nan  # reaches whatever depends on it
            differ = logit(other).isnan().nonzero().flatten() - middle
            assert differ.abs().max() <= far
            moved.append(int(differ.abs().max()))
        # Exactly so in time, within a coarse voxel in space.
        assert max(moved) >= (far if axis == 0 else far - net.config.stride)
