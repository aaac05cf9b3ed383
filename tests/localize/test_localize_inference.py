"""Pieces of a block through a network: in order, the same whatever the memory, stoppable."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from bubble_blocks import random_block
from torch import nn

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.errors import BackendError, Cancelled, ConfigError
from napari_ulm3d.localize import network as stage
from napari_ulm3d.localize.network import localize_network
from napari_ulm3d.localize.pieces import Piece
from napari_ulm3d.localize.trajectory import count_trajectories
from napari_ulm3d.localize.windows import is_out_of_memory, run_pieces
from napari_ulm3d.networks import build
from napari_ulm3d.networks.bubblenet_input import BubbleInput
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.tables import Localizations

NET = nn.Identity()
ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


def whole() -> list[int]:
    return list(range(6))


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_out_of_memory_halves_the_pieces_and_goes_on(error: Exception) -> None:
    def compute(span):
        if span[1] - span[0] > 12:
            raise error
        return span[0]

    def halves(span):
        middle = sum(span) // 2
        return (span[0], middle), (middle, span[1])

    found = list(run_pieces(NET, [(0, 30), (30, 50)], compute, halves=halves))
    assert [first for _, first in found] == [span[0] for span, _ in found]
    assert [first for first, _ in found] == sorted(first for first, _ in found)
    covered = [frame for (first, last), _ in found for frame in range(first, last)]
    assert covered == list(range(50))


def test_a_piece_that_fits_alone_is_not_refused() -> None:
    running, most = [], []

    def compute(piece):
        running.append(piece)
        time.sleep(0.01)
        most.append(len(running))
        running.remove(piece)
        if most[-1] > 1:
            raise MemoryError
        return piece

    found = [piece for piece, _ in run_pieces(NET, whole(), compute, at_once=3)]
    assert found == whole()


def test_memory_that_never_suffices_is_said_in_one_sentence() -> None:
    def compute(piece):
        raise MemoryError

    with pytest.raises(BackendError, match=r"does not suffice for 3.*sparsify\.threshold"):
        list(run_pieces(NET, [3], compute, halves=lambda piece: None))
    with pytest.raises(BackendError, match="does not suffice"):
        list(run_pieces(NET, [3], compute))


def test_other_errors_are_not_taken_for_it() -> None:
    def compute(piece):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(run_pieces(NET, [0], compute))
    assert not is_out_of_memory(ValueError("out of memory"))


class Held(nn.Module):
    """The third call of a row of layers waits until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.reached, self.released = 0, threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None

    def forward(self, x):
        self.calls += 1
        if self.calls == 3:
            self.thread = threading.current_thread()
            self.reached.set()
            assert self.released.wait(60)
        return x


def test_a_stop_is_heard_between_the_layers() -> None:
    layer = Held()
    net = nn.Sequential(*(nn.Sequential(layer) for _ in range(200)))
    with pytest.raises(Cancelled):
        list(run_pieces(net, [0], lambda piece: net(torch.zeros(1)), stop=layer.reached.is_set))
    layer.released.set()
    assert layer.thread is not None
    layer.thread.join(60)
    assert layer.calls == 3  # the next layer does not begin
    # The network serves others after that.
    short = nn.Sequential(*list(net)[:2])
    assert list(run_pieces(short, [0], lambda piece: short(torch.ones(1))))


def block_of() -> BubbleInput:
    return random_block((40, 10, 8, 8), 0.03, fwhm_voxels=(2, 2, 2))


def tiny() -> nn.Module:
    torch.manual_seed(0)
    model = build("BubbleNet", {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8})
    with torch.no_grad():
        model.head[-1].weight.mul_(20)
        model.head[-1].bias[0] = 0.0
    return model.eval()


GRID = Grid((10, 8, 8), (100.0, 100.0, 100.0))


def test_smaller_pieces_find_the_same_bubbles(monkeypatch: pytest.MonkeyPatch) -> None:
    block, model = block_of(), tiny()
    config = NetworkConfig(min_score=0.01)
    whole = localize_network(model, block, GRID, 200.0, 800.0, config).table
    seen = []
    predict = stage._predict_pass

    def short_of_memory(model, windows, *more):
        seen.append(sum(window.shape[0] for window in windows))
        if seen[-1] > 20:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return predict(model, windows, *more)

    monkeypatch.setattr(stage, "_predict_pass", short_of_memory)
    told = []
    parts = localize_network(model, block, GRID, 200.0, 800.0, config, progress=told.append).table
    assert max(seen) > 20
    assert min(seen) <= 20
    assert len(whole) == len(parts) > 50
    np.testing.assert_allclose(parts.to_numpy(), whole.to_numpy(), rtol=1e-4, atol=1e-3)
    assert told == sorted(told)
    assert told[-1] == 1


def large_volume() -> BubbleInput:
    """A short block of a volume that can be cut in space."""
    return random_block((7, 72, 4, 24), 0.05, fwhm_voxels=(2, 2, 2), first_frame=60)


def sorted_rows(found: Localizations) -> np.ndarray:
    """By place: equal scores may come in any order."""
    return found.table.sort_values(["frame", "z_um", "y_um"]).to_numpy()


@pytest.mark.parametrize(
    ("block", "views"),
    [(block_of(), 1), (large_volume(), 2), (large_volume(), 8)],
    ids=["long", "large", "mirrored"],
)
def test_the_result_does_not_depend_on_the_memory(block: BubbleInput, views: int) -> None:
    model = tiny()
    grid = Grid(block.shape[1:], (100.0, 100.0, 100.0))
    tables, pieces = [], []
    for memory_gb in (100.0, 0.9e-6 * len(block)):
        told: list[Piece] = []
        config = NetworkConfig(min_score=0.01, memory_gb=memory_gb, views=views)
        found = localize_network(model, block, grid, 200.0, 800.0, config, told=told.append)
        tables.append(sorted_rows(found))
        pieces.append(told)
    generous, tight = tables
    assert len(pieces[1]) > 2 * len(pieces[0])
    assert len(generous) > 50
    assert abs(len(tight) - len(generous)) <= 1e-3 * len(generous)
    np.testing.assert_allclose(tight, generous, rtol=1e-4, atol=1e-3)


def test_space_is_cut_where_that_costs_less() -> None:
    block, told = large_volume(), []
    config = NetworkConfig(memory_gb=1.2e-6 * len(block), min_score=0.01)
    grid = Grid(block.shape[1:], (100.0, 100.0, 100.0))
    localize_network(tiny(), block, grid, 200.0, 800.0, config, told=told.append)
    assert {piece.n_frames for piece in told} == {7}
    assert len(told) > 2


def test_too_little_memory_is_refused_with_what_suffices() -> None:
    block, model = block_of(), tiny()
    config = NetworkConfig(memory_gb=1e-4)
    with pytest.raises(BackendError, match=r"network\.memory_gb=") as refused:
        localize_network(model, block, GRID, 200.0, 800.0, config)
    enough = float(str(refused.value).split("memory_gb=")[1].split()[0])
    localize_network(model, block, GRID, 200.0, 800.0, config.replace(memory_gb=enough))


def test_windows_that_were_given_are_taken_as_they_are() -> None:
    block, model, told = block_of(), tiny(), []
    config = NetworkConfig(window_frames=15, margin_frames=2)
    localize_network(model, block, GRID, 200.0, 800.0, config, told=told.append)
    assert [piece.n_frames for piece in told] == [15, 15, 15, 7]
    reach = model.config.context_frames
    with pytest.raises(ConfigError, match=f"at least {2 * reach + 1}"):
        localize_network(model, block, GRID, 200.0, 800.0, NetworkConfig(window_frames=2 * reach))


def test_trajectories_are_tiled_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_ulm3d.localize import trajectory

    torch.manual_seed(1)
    net = build(
        "SparseDeepSTULM",
        {
            "space_axes": 2,
            "channels": 4,
            "input_kernel": 3,
            "convolutions": 1,
            "separable": True,
            "time_pools": (2, 2),
            "transition_pool": 2,
            "doublings": 1,
            "pruning": False,
            "deep_supervision": False,
        },
    ).eval()
    shape = (12, 96, 1, 20)
    rng = np.random.default_rng(0)
    coordinates = np.argwhere(rng.random(shape) < 0.2).astype(np.int32)
    values = (rng.normal(size=(len(coordinates), 2)) @ [1, 1j]).astype(np.complex64)
    kept = SparseFrames(coordinates, values, shape, 7)
    grid = Grid(shape[1:], (50.0, 50.0, 50.0))
    config = NetworkConfig(trajectory_score=0.45)
    whole = count_trajectories(net, kept, grid, 8, config)
    assert 0 < whole.values.size < whole.grid.size
    assert whole.values.max() <= 2
    predict, seen = trajectory._predict, []

    def short_of_memory(net, tile, *more):
        seen.append(tile.shape[1])
        if tile.shape[1] > 80:
            raise MemoryError
        return predict(net, tile, *more)

    monkeypatch.setattr(trajectory, "_predict", short_of_memory)
    tiled = count_trajectories(net, kept, grid, 8, config)
    assert max(seen) == 96
    assert min(seen) < 80
    np.testing.assert_array_equal(tiled.index, whole.index)
    np.testing.assert_array_equal(tiled.values, whole.values)
    # A window that would need more than it may is cut before it is tried.
    seen.clear()
    count_trajectories(net, kept, grid, 8, config.replace(memory_gb=1e-6))
    assert max(seen) < 80
