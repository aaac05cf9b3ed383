"""Predicted memory of the networks compared with measurements."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_ulm3d.networks import memory
from napari_ulm3d.networks.bubblenet import BubbleNetConfig
from napari_ulm3d.networks.memory import forward_bytes, free_bytes, most_voxels, window_bytes
from napari_ulm3d.sparse.backends import backend_tables

# In a separate process, because the peak is that of the process's whole lifetime.
PROGRAM = """
import sys
import numpy as np
import torch
from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleNetConfig
from napari_ulm3d.networks.bubblenet_input import BubbleInput, collate
from napari_ulm3d.system.machine import peak_memory

torch.set_num_threads(1)
width = int(sys.argv[1])
net = BubbleNet(BubbleNetConfig(stem=4, channels=(width, width + 8), blocks=1)).eval()
mask = np.zeros((12, 24, 24, 24), bool)
rng = np.random.default_rng(0)
for t, z, y, x in zip(*(rng.integers(0, n - 2, 600) for n in mask.shape)):
    mask[t, z : z + 3, y : y + 3, x : x + 3] = True
coordinates = np.argwhere(mask).astype(np.int32)
values = np.ones(len(coordinates), np.complex64)
block = BubbleInput(coordinates, values, values, mask.shape, (2, 2, 2))
with torch.inference_mode():
    net(collate([block.window(0, 1)]))
    before = peak_memory()
    net(collate([block]))
print((peak_memory() - before) / len(block))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("width", [8, 48])
def test_a_prediction_needs_what_the_law_says(width: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(width)], capture_output=True, text=True, check=True
    )
    law = forward_bytes(BubbleNetConfig(stem=4, channels=(width, width + 8)))
    assert 0.3 * law < float(done.stdout) < 1.1 * law


TRAJECTORIES = """
import numpy as np
import torch
from napari_ulm3d.localize.trajectory import _needs, _predict
from napari_ulm3d.networks import PRESETS, build
from napari_ulm3d.system.machine import peak_memory
from napari_ulm3d.sparse_frames import SparseFrames

torch.set_num_threads(1)
more = {"pruning": False, "deep_supervision": False}
net = build("SparseDeepSTULM", PRESETS["sparse-3d-small"].settings | more).eval()
mask = np.zeros((64, 16, 16, 16), bool)
rng = np.random.default_rng(0)
for z, y, x in rng.integers(0, 13, (100, 3)):
    mask[:, z : z + 3, y : y + 3, x : x + 3] = True
kept = SparseFrames.from_mask(mask.astype(np.complex64), mask)
_predict(net, SparseFrames.from_mask(mask[:2].astype(np.complex64), mask[:2]), 0.5, "cpu")
before = peak_memory()
_predict(net, kept, 0.5, "cpu")
print((peak_memory() - before) / _needs(net, kept))
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_a_trajectory_needs_no_more_than_the_law_says() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAJECTORIES], capture_output=True, text=True, check=True
    )
    # The prediction is an upper limit; the actual peak depends on the machine's allocator.
    assert 0.1 < float(done.stdout) < 1.0


def test_voxels_follow_the_memory_that_is_given() -> None:
    config = BubbleNetConfig()
    each = forward_bytes(config) * torch.get_num_threads() / 1e9
    assert most_voxels(config, "cpu", 1000 * each) == pytest.approx(1000, abs=1)
    assert most_voxels(config, "cpu", 1e6) == 1_000_000
    assert most_voxels(config, "cpu", 1e-12) == 1
    assert 1 < most_voxels(config, "cpu") <= 1_000_000


def test_free_memory_is_plausible() -> None:
    assert 1e8 < free_bytes() < 1e14


def test_what_pytorch_keeps_on_a_gpu_and_does_not_use_is_free(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2_000, 10_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 1_000)
    assert free_bytes("cuda:0") == 2_000 + 5_000 - 1_000


def test_windows_do_not_shrink_from_block_to_block(monkeypatch):
    free = [10e9]
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(free[0]))
    monkeypatch.setattr(memory, "_granted", {})
    config = BubbleNetConfig()

    def now(gigabytes: float) -> int:
        free[0] = 1e9 * gigabytes
        return most_voxels(config, "cpu", None, 8)

    first = now(10)
    assert [now(9.5), now(8), now(7), now(11)] == [first] * 4
    less = now(6)  # would take up all of it
    assert less < 0.65 * first
    assert now(6.5) == less
    assert now(30) > 2 * first


def test_a_gpu_keeps_room_for_gathered_neighbours(monkeypatch):
    config = BubbleNetConfig()
    assert window_bytes("cuda", 10.0) == 10e9 - backend_tables.GATHERED_BYTES
    assert window_bytes("cuda", 0.1) == 0.05e9
    assert most_voxels(config, "cuda", 1000.0) == 4_000_000
