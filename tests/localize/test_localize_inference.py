"""Windows through a network: which frames, in what order, when memory ends, when it is stopped."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from bubble_blocks import random_block
from torch import nn

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.errors import BackendError, Cancelled
from napari_ulm3d.localize import network as stage
from napari_ulm3d.localize.network import localize_network
from napari_ulm3d.localize.trajectory import count_trajectories
from napari_ulm3d.localize.windows import is_out_of_memory, run_windows
from napari_ulm3d.networks import build
from napari_ulm3d.networks.bubblenet_input import BubbleInput
from napari_ulm3d.sparse_frames import SparseFrames

NET = nn.Identity()
EVEN = np.full(50, 10, np.int64)
ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


def spans(counts=EVEN, compute=lambda span: None, **options):
    return [span for span, _ in run_windows(NET, counts, compute, **options)]


def assert_every_frame_once(parts, n_frames: int, margin: int) -> None:
    assert [p.first for p in parts] == [0, *(p.last for p in parts[:-1])]
    assert parts[-1].last == n_frames
    for part in parts:
        assert part.start == max(0, part.first - margin)
        assert part.stop == min(n_frames, part.last + margin)


@pytest.mark.parametrize(("window", "margin"), [(16, 0), (16, 4), (9, 4), (200, 3), (50, 0)])
def test_every_frame_is_kept_once(window: int, margin: int) -> None:
    parts = spans(window_frames=window, margin_frames=margin)
    assert_every_frame_once(parts, 50, margin)
    assert max(p.stop - p.start for p in parts) <= window


def test_a_block_without_frames_has_no_windows() -> None:
    assert spans(np.empty(0, np.int64), window_frames=8) == []


def test_windows_with_too_many_voxels_are_shortened() -> None:
    counts = np.where(np.arange(50) < 20, 100, 1).astype(np.int64)
    parts = spans(counts, window_frames=32, margin_frames=2, most_voxels=1000)
    assert_every_frame_once(parts, 50, 2)
    voxels = [counts[p.start : p.stop].sum() for p in parts]
    assert max(voxels) <= 1000
    # Where frames are nearly empty the windows are long again.
    assert max(p.last - p.first for p in parts) > 2 * (parts[0].last - parts[0].first)
    # A single frame with its margins is the least, whatever it holds.
    least = spans(counts, window_frames=32, margin_frames=2, most_voxels=1)
    assert {p.stop - p.start for p in least} == {5}


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_out_of_memory_halves_the_windows_and_goes_on(error: Exception) -> None:
    tried = []

    def compute(span):
        tried.append(span.stop - span.start)
        if span.stop - span.start > 12:
            raise error
        return span.first

    found = list(run_windows(NET, EVEN, compute, window_frames=40, margin_frames=2))
    assert [first for _, first in found] == [span.first for span, _ in found]
    assert_every_frame_once([span for span, _ in found], 50, 2)
    assert max(tried) > 12


def test_memory_that_never_suffices_is_said_in_one_sentence() -> None:
    def compute(span):
        raise MemoryError

    with pytest.raises(BackendError, match=r"does not suffice.*sparsify\.threshold"):
        spans(compute=compute, window_frames=32, margin_frames=2)
    with pytest.raises(BackendError, match="does not suffice"):
        spans(compute=compute, window_frames=32, may_shrink=False)


def test_other_errors_are_not_taken_for_it() -> None:
    def compute(span):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        spans(compute=compute, window_frames=32)
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
        list(
            run_windows(
                net,
                EVEN,
                lambda span: net(torch.zeros(1)),
                window_frames=50,
                stop=layer.reached.is_set,
            )
        )
    layer.released.set()
    assert layer.thread is not None
    layer.thread.join(60)
    assert layer.calls == 3  # the next layer does not begin
    # The network serves others after that.
    short = nn.Sequential(*list(net)[:2])
    assert list(run_windows(short, EVEN, lambda s: short(torch.ones(1)), window_frames=50))


def block_of() -> BubbleInput:
    return random_block((40, 10, 8, 8), 0.03, fwhm_voxels=(2, 2, 2))


def tiny() -> nn.Module:
    torch.manual_seed(0)
    model = build("BubbleNet", {"stem": 2, "channels": (6, 8), "blocks": 1, "head": 8})
    with torch.no_grad():
        model.head[-1].weight.mul_(20)
        model.head[-1].bias[0] = 0.0
    return model.eval()


def test_shrunken_windows_find_the_same_bubbles(monkeypatch: pytest.MonkeyPatch) -> None:
    block, model, grid = block_of(), tiny(), Grid((10, 8, 8), (100.0, 100.0, 100.0))
    config = NetworkConfig(window_frames=40, margin_frames=6, min_score=0.01)
    whole = localize_network(model, block, grid, 200.0, 800.0, config).table
    seen = []
    predict = stage._predict_window

    def short_of_memory(model, window, *more):
        seen.append(window.shape[0])
        if window.shape[0] > 20:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return predict(model, window, *more)

    monkeypatch.setattr(stage, "_predict_window", short_of_memory)
    told = []
    parts = localize_network(model, block, grid, 200.0, 800.0, config, progress=told.append).table
    assert max(seen) == 40
    assert min(seen) <= 20
    assert len(whole) == len(parts) > 50
    # The margins are longer than the network's reach in time.
    np.testing.assert_allclose(parts.to_numpy(), whole.to_numpy(), atol=1e-2)
    assert told == sorted(told)
    assert told[-1] == 1


def test_little_memory_makes_short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    predict = stage._predict_window

    def count(model, window, *more):
        seen.append(len(window))
        return predict(model, window, *more)

    monkeypatch.setattr(stage, "_predict_window", count)
    block, grid = block_of(), Grid((10, 8, 8), (100.0, 100.0, 100.0))
    config = NetworkConfig(window_frames=40, margin_frames=2, memory_gb=5e-4)
    localize_network(tiny(), block, grid, 200.0, 800.0, config)
    # 0.5 MB, shared by the threads, at about a kilobyte a voxel.
    assert max(seen) < 500
    assert len(seen) > 1


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
    differ = np.setxor1d(whole.index, tiled.index).size
    assert differ <= 0.01 * whole.index.size
    # A window that would need more than it may is cut before it is tried.
    seen.clear()
    count_trajectories(net, kept, grid, 8, config.replace(memory_gb=1e-6))
    assert max(seen) < 80
