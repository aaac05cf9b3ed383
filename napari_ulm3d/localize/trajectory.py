"""The paper's networks over a block: windows of the correlation map to counts of trajectories.

Rauby et al. (arXiv 2402.09359) binarise the trajectory volume of each window and add all windows
up; a voxel's count is the number of windows in which a trajectory crossed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.localize.windows import Span, is_out_of_memory, run_windows
from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
from napari_ulm3d.networks.memory import trajectory_bytes, window_bytes
from napari_ulm3d.networks.precision import half_precision
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.volumes import VesselMap

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_ulm3d.networks.weights import WeightsCard

__all__ = ["count_trajectories", "trajectory_grid", "window_of"]

_HALO = 12
"""Voxels about a tile that its prediction may look at: the network's reach in space, about."""

_LEAST_TILE = 16
"""Voxels along a tile's longest axis below which it is not cut again."""


def window_of(network: nn.Module, card: WeightsCard) -> int:
    """Frames of a window: as many as in training, else as one time step of the network holds."""
    trained: Any = card.data.get("data", {})
    frames = trained.get("window_frames") if isinstance(trained, dict) else None
    config: Any = network.config
    return int(frames or config.head_time_stride)


def trajectory_grid(grid: Grid, upsampling: int) -> Grid:
    """The map's grid: every voxel cut into `upsampling` along each axis of more than one voxel."""
    times = tuple(upsampling if n > 1 else 1 for n in grid.shape)
    spacing = tuple(s / k for s, k in zip(grid.spacing_um, times, strict=True))
    return Grid(
        tuple(n * k for n, k in zip(grid.shape, times, strict=True)),  # type: ignore[arg-type]
        spacing,  # type: ignore[arg-type]
        tuple(  # type: ignore[arg-type]
            o - s / 2 + fine / 2
            for o, s, fine in zip(grid.origin_um, grid.spacing_um, spacing, strict=True)
        ),
    )


def count_trajectories(
    network: nn.Module,
    kept: SparseFrames,
    grid: Grid,
    window_frames: int,
    config: NetworkConfig | None = None,
    *,
    device: torch.device | str = "cpu",
    stop: Callable[[], bool] | None = None,
    progress: Callable[[float], None] | None = None,
) -> VesselMap:
    """In how many windows of a block a trajectory crossed each voxel of the fine grid.

    Windows do not overlap; the last one is filled up with empty frames.

    Parameters
    ----------
    network
        `SparseDeepSTULM` or `DeepSTULM`, on `device`, in evaluation mode.
    kept
        The block's correlation map, sparsified.
    grid
        Of the acquisition.
    window_frames
        Frames of a window (`window_of`).
    config
        `trajectory_score`, precision.
    device, stop, progress
        As of `localize_network`.

    Returns
    -------
    VesselMap
        ``trajectory``, on `trajectory_grid`.

    Raises
    ------
    ConfigError
        A network of 2-D frames for a volume, or the reverse.
    Cancelled
        `stop` said so.
    BackendError
        The memory does not suffice.
    """
    config = config or NetworkConfig()
    network.eval()
    settings: Any = network.config
    flat = settings.space_axes == 2
    if flat and grid.shape[1] != 1:
        raise ConfigError(
            f"This network reads 2-D frames, and the acquisition has {grid.shape[1]} planes along "
            "y. Set network.weights to those of a 3-D network (sparse-3d-small)."
        )
    if not flat and grid.shape[1] == 1:
        raise ConfigError(
            "This network reads volumes, and the acquisition is 2-D. Set network.weights to "
            "those of a 2-D network (sparse-2d-small, dense-2d-small)."
        )
    fine = trajectory_grid(grid, settings.upsampling)
    room = window_bytes(device, config.memory_gb)

    def compute(span: Span) -> NDArray[np.int64]:
        window = _window(kept, span, window_frames)
        with half_precision(config.precision, device):
            return _crossed(network, window, fine, room, config.trajectory_score, device)

    counts = np.bincount(kept.coordinates[:, 0], minlength=kept.shape[0])
    found = []
    for span, index in run_windows(
        network,
        counts,
        compute,
        window_frames=window_frames,
        may_shrink=False,
        device=device,
        stop=stop,
    ):
        found.append(index)
        if progress is not None:
            progress(span.last / kept.shape[0])
    index, windows = np.unique(np.concatenate(found), return_counts=True)
    return VesselMap("trajectory", fine, index, windows.astype(np.float32), "windows")


def _window(kept: SparseFrames, span: Span, n_frames: int) -> SparseFrames:
    low, high = np.searchsorted(kept.coordinates[:, 0], (span.start, span.stop))
    coordinates = kept.coordinates[low:high].copy()
    coordinates[:, 0] -= span.start
    return SparseFrames(coordinates, kept.values[low:high], (n_frames, *kept.shape[1:]))


def _crossed(
    network: nn.Module,
    window: SparseFrames,
    fine: Grid,
    room: float,
    score: float,
    device: torch.device | str,
) -> NDArray[np.int64]:
    """Flat indices on the fine grid of the voxels that a trajectory crosses, ascending."""
    if not len(window):
        return np.empty(0, np.int64)
    first = np.zeros(3, np.int64)
    found = [
        np.ravel_multi_index(tuple(crossed.T), fine.shape)
        for crossed in _tiles(
            network, window, first, np.array(window.shape[1:]), room, score, device
        )
    ]
    return np.sort(np.concatenate(found)).astype(np.int64)


def _tiles(
    network: nn.Module,
    window: SparseFrames,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    room: float,
    score: float,
    device: torch.device | str,
) -> Iterator[NDArray[np.int64]]:
    """(n, 3) fine voxels crossed within low..high - 1; halved where memory would not suffice."""
    shape = np.array(window.shape[1:])
    start, stop = np.maximum(low - _HALO, 0), np.minimum(high + _HALO, shape)
    space = window.coordinates[:, 1:]
    inside = ((space >= start) & (space < stop)).all(axis=1)
    if not inside.any():
        return
    coordinates = window.coordinates[inside].copy()
    coordinates[:, 1:] -= start.astype(np.int32)
    z, y, x = (int(n) for n in stop - start)
    tile = SparseFrames(coordinates, window.values[inside], (window.shape[0], z, y, x))
    settings: Any = network.config
    times = np.where(shape > 1, settings.upsampling, 1)
    axis = int((high - low).argmax())
    least = high[axis] - low[axis] < 2 * _LEAST_TILE
    try:
        if not least and _needs(network, tile) > room:
            raise MemoryError
        crossed = _predict(network, tile, score, device) + start * times
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or least:
            raise
    else:
        yield crossed[((crossed >= low * times) & (crossed < high * times)).all(axis=1)]
        return
    middle = low.copy(), high.copy()
    middle[0][axis] = middle[1][axis] = (low[axis] + high[axis]) // 2
    yield from _tiles(network, window, low, middle[1], room, score, device)
    yield from _tiles(network, window, middle[0], high, room, score, device)


def _needs(network: nn.Module, tile: SparseFrames) -> float:
    """Bytes of a prediction; nothing is said of a dense network, whose tensors are small."""
    settings: Any = network.config
    if not isinstance(settings, SparseDeepSTULMConfig):
        return 0.0
    columns = tile.coordinates.copy()
    columns[:, 0] //= settings.head_time_stride
    n_columns = len(np.unique(np.ravel_multi_index(tuple(columns.T), tile.shape)))
    return trajectory_bytes(settings, len(tile), n_columns)


def _predict(
    network: nn.Module, tile: SparseFrames, score: float, device: torch.device | str
) -> NDArray[np.int64]:
    """(n, 3) fine voxels of a tile whose probability exceeds `score`."""
    import torch

    from napari_ulm3d.networks.deepstulm import DeepSTULM
    from napari_ulm3d.sparse import SparseTensor

    settings: Any = network.config
    flat = settings.space_axes == 2
    with torch.inference_mode():
        x = SparseTensor.from_frames(tile, flat=flat, device=device)
        if isinstance(network, DeepSTULM):
            at = (network(x.dense())[0, 0, 0] > score).nonzero()
        else:
            output = network(x).output
            at = output.indices[output.features[:, 0] > score][:, 2:]
    found = at.cpu().numpy().astype(np.int64)
    return np.insert(found, 1, 0, axis=1) if flat else found
