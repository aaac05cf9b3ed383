"""One measurement of `benchmarks.network_memory`, in a separate process.

A window of bubbles on straight lines, the network, its loss, one forward and one backward pass.
The peak memory is relative to that before: input, parameters and their gradients do not
count.
"""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_ulm3d.networks import preset
from napari_ulm3d.networks.sparse_deepstulm import SparseDeepSTULM
from napari_ulm3d.sparse import SparseTensor
from napari_ulm3d.train.trajectory.dice_loss import soft_dice, trajectory_loss, trajectory_target
from napari_ulm3d.train.trajectory.targets import Trajectories, trajectory_volume


def main() -> None:
    case = json.loads(sys.argv[1])
    limit_gb = case.pop("limit_gb", None)
    if limit_gb and case["device"] == "cpu" and sys.platform == "linux":
        # Beyond this an allocation fails here, before the machine's memory is full.
        limit = int((limit_gb + 4) * 2**30)  # the libraries' own address space is about 4 GB
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps(measure(**case)))


def measure(
    network: str, shape: list[int], occupancy: float, pruning: bool, device: str
) -> dict[str, Any]:
    """Peak memory and time of a forward and a backward pass.

    Parameters
    ----------
    network
        A name of `napari_ulm3d.networks.PRESETS`.
    shape
        Frames and voxels of the window, t, z, x or t, z, y, x.
    occupancy
        Share of the voxels that bubbles occupy.
    pruning
        Up-sample only voxels with trajectories, like a perfectly trained network; otherwise every
        voxel.
    device
        ``cpu`` or ``cuda``.
    """
    torch.manual_seed(0)
    model = preset(network).to(device)
    heads = list(model.heads) if isinstance(model, SparseDeepSTULM) else []
    # A small run first allocates the gradients and the libraries' workspace.
    small = [16, *(8 for _ in shape[1:])]
    _prepare(model, heads, small, 0.05, pruning, device)[0]()
    run, kept = _prepare(model, heads, shape, occupancy, pruning, device)
    before = _memory_now(device)
    begin = time.perf_counter()
    finest = run()
    seconds = time.perf_counter() - begin
    return {
        "bytes": _memory_peak(device) - before,
        "kept": kept,
        "finest": finest,
        "seconds": seconds,
    }


def _prepare(
    model: Any,
    heads: list[nn.Module],
    shape: list[int],
    occupancy: float,
    pruning: bool,
    device: str,
) -> tuple[Callable[[], int], int]:
    """A function that runs one step and returns the output's voxels; and the input's voxels."""
    truth, indices = _window(shape, occupancy)
    x = SparseTensor.create(indices, torch.randn(len(indices), 2), shape).to(device)
    if not heads:
        dense = x.dense()
        target = torch.as_tensor(trajectory_volume(truth, model.config.upsampling))[None, None]
        target = target.to(device)

        def run_dense() -> int:
            output = model(dense)
            soft_dice(output, target).backward()
            return output.numel()

        return run_dense, len(indices)
    model.config = model.config.replace(pruning=pruning)
    model.heads = nn.ModuleList(_Told(head, truth) if pruning else head for head in heads)

    def run_sparse() -> int:
        prediction = model(x)
        trajectory_loss(prediction, [truth])[0].backward()
        return len(prediction.tensors[-1])

    return run_sparse, len(indices)


class _Told(nn.Module):
    """A head with the usual cost that knows where trajectories are."""

    def __init__(self, head: nn.Module, truth: Trajectories) -> None:
        super().__init__()
        self.head, self.truth = head, truth

    def forward(self, x: SparseTensor) -> SparseTensor:
        said = self.head(x)
        keys = trajectory_target([self.truth], said).keys()
        hit = torch.isin(said.coordinates.keys(), keys)[:, None]
        return said.with_features(0.4 * said.features + 0.55 * hit)


def _window(shape: list[int], occupancy: float) -> tuple[Trajectories, Tensor]:
    """Bubbles on straight lines, a box of three voxels a side around each, and their number."""
    rng = np.random.default_rng(0)
    space = np.array(shape[1:])
    box = int(np.prod(np.minimum(3, space)))
    n_bubbles = max(1, round(occupancy * np.prod(space) / box))
    start = rng.uniform(0, space, (n_bubbles, len(space)))
    # At most a twentieth of a voxel per frame: no gaps on a grid eight times as fine.
    velocity = rng.uniform(-0.05, 0.05, start.shape)
    time_axis = np.arange(shape[0])
    positions = (start[:, None] + time_axis[:, None] * velocity[:, None]) % space
    frame = np.broadcast_to(time_axis[None, :, None], (*positions.shape[:2], 1))
    points = np.concatenate([frame, positions], axis=2).reshape(-1, 1 + len(space))
    kept = np.zeros(shape, bool)
    sides = [np.arange(-1, 2)] * len(space)
    for offset in np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, len(space)):
        at = np.floor(points).astype(int) + np.array([0, *offset])
        inside = ((at >= 0) & (at < shape)).all(axis=1)
        kept[tuple(at[inside].T)] = True
    indices = torch.as_tensor(np.argwhere(kept))
    return Trajectories(points, tuple(shape)), torch.cat(
        [torch.zeros(len(indices), 1, dtype=indices.dtype), indices], dim=1
    )


def _memory_now(device: str) -> int:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    if not Path("/proc/self/clear_refs").exists():
        return _memory_peak(device)
    # Linux: return freed memory, and reset the peak after the small run.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _memory_peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


if __name__ == "__main__":
    main()
