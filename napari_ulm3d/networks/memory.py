"""Memory of the networks: requirement of a prediction per voxel, and storage of a dense network."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import TYPE_CHECKING

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.architecture import DeepSTULMConfig, SparseDeepSTULMConfig
from napari_ulm3d.system.machine import free_memory

if TYPE_CHECKING:
    import torch

    from napari_ulm3d.networks.bubblenet import BubbleNetConfig

__all__ = [
    "forward_bytes",
    "free_bytes",
    "most_voxels",
    "stored_bytes",
    "trajectory_bytes",
    "window_bytes",
]

_SHARE = 0.6
"""Fraction of the free memory for the network; the block and its maps need memory, too."""

_STILL_FREE = 0.9
"""An earlier share is kept if it does not exceed this fraction of the free memory."""
_MUCH_MORE = 1.5
"""Factor by which a new share must exceed the earlier one to replace it."""

_AT_MOST = {"cpu": 1_000_000, "cuda": 4_000_000}
"""Maximum number of voxels in a window, however much memory there is: more are not faster."""


def forward_bytes(config: BubbleNetConfig) -> float:
    """Peak memory of a prediction by `BubbleNet`, in bytes per kept voxel.

    Measured as the growth of the process's peak memory for 25,000 to 260,000 voxels at
    occupancies of 5 to 100 % and first-level widths from 8 to 64: kernel maps and input
    take 800 bytes, features as much as twelve tensors of the first level's width. Most of the
    measured values are 10 to 40 % lower.
    """
    return 800.0 + 48.0 * max(config.channels[0], config.stem)


def most_voxels(
    config: BubbleNetConfig,
    device: torch.device | str,
    memory_gb: float | None = None,
    at_once: int | None = None,
) -> int:
    """Maximum number of voxels in a window of `BubbleNet`.

    Parameters
    ----------
    config
        Sizes of the network.
    device
        Device on which it runs.
    memory_gb
        Memory for all windows computed at once, GB; None: 60 % of the free memory.
    at_once
        Number of windows computed at once on the CPU; None: the number of threads.
    """
    limit = _AT_MOST["cuda" if str(device).startswith("cuda") else "cpu"]
    fitting = window_bytes(device, memory_gb, at_once) / forward_bytes(config)
    return max(1, min(limit, int(fitting)))


def window_bytes(
    device: torch.device | str, memory_gb: float | None = None, at_once: int | None = None
) -> float:
    """Memory for one window: all on a GPU, otherwise its share among those computed at once.

    Parameters
    ----------
    device, memory_gb, at_once
        As in `most_voxels`.
    """
    import torch

    from napari_ulm3d.sparse.backends.backend_tables import GATHERED_BYTES

    memory = _granted_bytes(device) if memory_gb is None else 1e9 * memory_gb
    if str(device).startswith("cuda"):
        # Gathered neighbours need a fixed amount; if memory is short, reserve half for them.
        return max(memory - GATHERED_BYTES, memory / 2)
    return memory / (at_once or torch.get_num_threads())


_granted: dict[str, float] = {}


def _granted_bytes(device: torch.device | str) -> float:
    """A share of the free memory; that of the previous block if it is still available.

    The free memory varies slightly between blocks. Windows would otherwise be cut differently in
    each block, and shrink gradually if memory is not returned at once.
    """
    free, key = free_bytes(device), str(device)
    before, now = _granted.get(key, 0.0), _SHARE * free
    if not before <= _STILL_FREE * free or now > _MUCH_MORE * before:
        _granted[key] = now
    return _granted[key]


def trajectory_bytes(config: SparseDeepSTULMConfig, n_kept: int, n_columns: int) -> float:
    """Upper limit of the peak memory of a prediction by `SparseDeepSTULM`, bytes.

    Measured like `forward_bytes` for the small presets in 2-D and 3-D, without pruning (which
    needs less): at most 130 bytes per kept voxel and channel, and 65 per fine voxel and channel.

    Parameters
    ----------
    config
        Sizes of the network.
    n_kept
        Number of kept voxels in the window.
    n_columns
        Number of these that differ in position or in the time step of the high-resolution stages.
    """
    fine = n_columns * config.upsampling**config.space_axes
    return config.channels * (130.0 * n_kept + 65.0 * fine)


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Memory available to a network on a device."""
    if str(device).startswith("cuda"):
        import torch

        at = torch.device(device)
        # Memory reserved but unused by PyTorch counts as used there, but is available to it.
        spare = torch.cuda.memory_reserved(at) - torch.cuda.memory_allocated(at)
        return int(torch.cuda.mem_get_info(at)[0]) + spare
    return free_memory()


def stored_bytes(config: DeepSTULMConfig, shape: Sequence[int]) -> int:
    """Memory that a dense network stores from the forward for the backward pass, bytes of float32.

    A convolution with its batch norm and activation stores two tensors of its output's size (the
    input of the batch norm, and the activation's result, which the next layer also uses), and a
    third if it is split into space and time; a sum stores its result, a max-pool its result and
    int64 positions. Weights are not counted.

    Parameters
    ----------
    config
        Sizes, possibly with three spatial axes.
    shape
        Shape of one window: t, z, x or t, z, y, x.

    Raises
    ------
    ConfigError
        The window has other axes.
    """
    if len(shape) != config.axes:
        raise ConfigError(
            f"A window {tuple(shape)} does not match a network with {config.axes} axes."
        )
    n = config.channels
    pieces = 2 if config.separable else 1

    def coarser(grid: list[int], kernel: tuple[int, ...]) -> list[int]:
        return [ceil(size / k) for size, k in zip(grid, kernel, strict=True)]

    def unit(channels: int, grid: list[int], kernels: int = 1) -> int:
        return (1 + kernels) * channels * prod(grid)

    def body(channels: int, grid: list[int]) -> int:
        return config.convolutions * unit(channels, grid, pieces) + channels * prod(grid)

    def pooled(channels: int, grid: list[int]) -> int:
        return 3 * channels * prod(grid)

    (t0, t1), two = config.time_pools, (2,) * config.space_axes
    full = list(shape)
    half, quarter = coarser(full, (t0, *two)), coarser(coarser(full, (t0, *two)), (t1, *two))
    up1, up2 = coarser(half, config.in_time(t1)), coarser(full, config.in_time(t0 * t1))
    numbers = 2 * prod(full) + unit(n, full, pieces) + n * prod(full)
    numbers += unit(2 * n, full) + pooled(2 * n, half) + body(2 * n, half)
    numbers += unit(4 * n, half) + pooled(4 * n, quarter) + body(4 * n, quarter)
    for grid, skip, width in ((up1, 2 * n, 4 * n), (up2, n, 2 * n)):
        numbers += pooled(skip, grid) + unit(2 * n, grid) + (2 * n + skip) * prod(grid)
        numbers += unit(width, grid) + body(width, grid)
    grid = coarser(up2, config.in_time(config.transition_pool))
    numbers += unit(n, up2, pieces) + pooled(n, grid)
    for _ in range(config.doublings):
        grid = [grid[0], *(2 * size for size in grid[1:])]
        numbers += unit(n, grid) + body(n, grid)
    numbers += unit(n, grid, pieces)
    grid = [1, *grid[1:]]
    numbers += pooled(n, grid) + unit(n // 2, grid, pieces) + 2 * prod(grid)
    return 4 * numbers
