"""How much memory a dense network would need: what its layers store, counted one by one."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.architecture import DeepSTULMConfig

__all__ = ["stored_bytes"]


def stored_bytes(config: DeepSTULMConfig, shape: Sequence[int]) -> int:
    """What a dense network keeps from the forward for the backward pass, in bytes of float32.

    A convolution with its batch norm and activation keeps two tensors of its output's size (the
    batch norm's input; the activation's result, which the next layer reads too), one more where
    it is split into space and time; a sum keeps its result; a max-pool its result and int64
    positions. Weights are not counted.

    Parameters
    ----------
    config
        Sizes, of three axes in space too.
    shape
        One window: t, z, x or t, z, y, x.

    Raises
    ------
    ConfigError
        A window of other axes.
    """
    if len(shape) != config.axes:
        raise ConfigError(f"A window {tuple(shape)} does not fit a network of {config.axes} axes.")
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
