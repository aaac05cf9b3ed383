"""Apply the networks of Rauby et al. to a block: windows of the correlation map to trajectory counts.

Rauby et al. (arXiv 2402.09359) binarize the trajectory volume of each window and sum all windows.
The count of a voxel is the number of windows in which a trajectory crosses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.localize.pieces import Context, Cutter, Piece, time_windows
from napari_ulm3d.localize.windows import run_pieces
from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
from napari_ulm3d.networks.memory import trajectory_bytes, window_bytes
from napari_ulm3d.networks.precision import half_precision
from napari_ulm3d.networks.registry import config_of
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.volumes import VesselMap

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_ulm3d.networks.weights import WeightsCard

__all__ = ["count_trajectories", "trajectory_grid", "window_of"]


def window_of(card: WeightsCard) -> int:
    """Frames of a window: as in training, or else the time stride of the network's head."""
    trained: Any = card.data.get("data", {})
    frames = trained.get("window_frames") if isinstance(trained, dict) else None
    if frames:
        return int(frames)
    config: Any = config_of(card.architecture, card.config)
    return int(config.head_time_stride)


def trajectory_grid(grid: Grid, upsampling: int) -> Grid:
    """Grid of the map: `upsampling` times finer along each axis of more than one voxel."""
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
    """Count the windows of a block in which a trajectory crosses each voxel of the fine grid.

    Windows do not overlap; the last one is padded with empty frames.

    Parameters
    ----------
    network
        `SparseDeepSTULM` or `DeepSTULM`, on `device`, in evaluation mode.
    kept
        The block's correlation map, sparsified.
    grid
        Grid of the acquisition.
    window_frames
        Frames of a window (`window_of`).
    config
        `trajectory_score`, precision.
    device, stop, progress
        As in `localize_network`.

    Returns
    -------
    VesselMap
        ``trajectory``, on `trajectory_grid`.

    Raises
    ------
    ConfigError
        The network is for 2-D frames and the acquisition 3-D, or the reverse.
    Cancelled
        `stop` returned true.
    BackendError
        Memory is insufficient.
    """
    config = config or NetworkConfig()
    network.eval()
    settings: Any = network.config
    flat = settings.space_axes == 2
    if flat and grid.shape[1] != 1:
        raise ConfigError(
            f"This network is for 2-D frames, but the acquisition has {grid.shape[1]} planes "
            "along y. Set network.weights to a 3-D network (sparse-3d-small)."
        )
    if not flat and grid.shape[1] == 1:
        raise ConfigError(
            "This network is for volumes, but the acquisition is 2-D. Set network.weights to "
            "a 2-D network (sparse-2d-small or dense-2d-small)."
        )
    fine = trajectory_grid(grid, settings.upsampling)
    room = window_bytes(device, config.memory_gb)
    cutter = Cutter(
        kept.coordinates,
        kept.shape,
        Context(0, settings.context_voxels, settings.coarsest),
        in_time=False,
    )
    windows = [cutter.window(span) for span in time_windows(kept.shape[0], 0, window_frames)]

    def fits(piece: Piece) -> bool:
        return _needs(network, _tile(kept, cutter, piece, window_frames)) <= room

    def compute(piece: Piece) -> NDArray[np.int64]:
        tile = _tile(kept, cutter, piece, window_frames)
        if not len(tile):
            return np.empty(0, np.int64)
        with half_precision(config.precision, device):
            crossed = _predict(network, tile, config.trajectory_score, device)
        times = np.where(np.array(grid.shape) > 1, settings.upsampling, 1)
        crossed += times * [low for low, _ in piece.given[1:]]
        low, high = np.array(piece.kept[1:]).T * times
        crossed = crossed[((crossed >= low) & (crossed < high)).all(axis=1)]
        return np.asarray(np.ravel_multi_index(tuple(crossed.T), fine.shape), np.int64)

    found = [np.empty(0, np.int64)]
    for piece, index in run_pieces(
        network,
        [piece for window in windows for piece in cutter.fitting(window, fits)],
        compute,
        halves=cutter.halves,
        device=device,
        stop=stop,
    ):
        found.append(index)
        if progress is not None:
            progress(piece.kept[0][1] / kept.shape[0])
    index, counts = np.unique(np.concatenate(found), return_counts=True)
    return VesselMap("trajectory", fine, index, counts.astype(np.float32), "windows")


def _tile(kept: SparseFrames, cutter: Cutter, piece: Piece, n_frames: int) -> SparseFrames:
    """Input of a piece, padded with empty frames."""
    rows = cutter.rows(piece.given)
    coordinates = kept.coordinates[rows] - np.array([low for low, _ in piece.given], np.int32)
    z, y, x = (high - low for low, high in piece.given[1:])
    return SparseFrames(coordinates, kept.values[rows], (n_frames, z, y, x))


def _needs(network: nn.Module, tile: SparseFrames) -> float:
    """Memory of a prediction in bytes; 0 for a dense network, whose tensors are small."""
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
