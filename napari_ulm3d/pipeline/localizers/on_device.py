"""Keep a block on the GPU from the clutter filter to the input of a network.

The block is copied to the GPU once, and its filtered frames are copied back once, for stages on the
CPU; if they are thinned to a working grid, that is done on the GPU too. Other settings (a bandpass, a part
of the spectrum, another choice of voxels) and blocks larger than the GPU's memory are processed on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.calibrate import WorkingGrid
from napari_ulm3d.config import ClutterConfig, PipelineConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import FilteredBlock, Psf
from napari_ulm3d.filtering.randomized import pays_off
from napari_ulm3d.filtering.svd import kept_components
from napari_ulm3d.filtering.valid import valid_voxels
from napari_ulm3d.localize.windows import is_out_of_memory
from napari_ulm3d.sparse_frames import SparseFrames

__all__ = ["block_device", "filtered_there", "kept_there", "thinned_there"]

_TIMES = 6
"""Memory for filtering and correlating a block, including the block, relative to its size."""

_CHUNK = 1 << 25
"""Number of voxels correlated at once."""


def block_device(config: PipelineConfig) -> str | None:
    """Device for the clutter filter: the GPU of the network that follows, or None."""
    if not config.localize.by_network or config.device == "cpu":
        return None
    device = resolve_device(config.device)
    return None if device == "cpu" else device


def filtered_there(
    frames: NDArray[Any], config: ClutterConfig, device: str
) -> FilteredBlock | None:
    """Remove the strongest components of a block, in place; None: it must be done on the CPU.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32.
    config
        Settings of the clutter filter, with a known range.
    device
        Device to use.

    Returns
    -------
    FilteredBlock
        Its `resident` is the tensor of the same frames on the device.
    """
    import torch

    from napari_ulm3d.filtering import device as on_device
    from napari_ulm3d.networks.memory import free_bytes

    if config.method != "svd" or config.svd_range is None or config.svd_automatic or config.regions:
        return None
    kept = kept_components(len(frames), *config.svd_range)
    asked = config.decomposition == "randomized"
    by_range = kept[1] == len(frames) and (asked or pays_off(kept[0] - 1, len(frames)))
    if config.decomposition == "full" or not by_range:
        return None
    if _TIMES * frames.nbytes > free_bytes(device):
        return None
    valid = valid_voxels(frames)
    given = torch.from_numpy(np.ascontiguousarray(frames))
    try:
        if device.startswith("cuda"):
            given = given.pin_memory()
        # A copy even on the CPU, since filtering is in place.
        there = given.to(device, copy=True, non_blocking=True)
        filtered, values, vectors = on_device.remove_leading(there, kept[0] - 1)
        result = filtered.cpu().numpy()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None  # the block is still unchanged
    frames[...] = result
    some = None if valid.all() else valid
    return FilteredBlock(
        frames,
        kept,
        values.cpu().numpy(),
        valid=some,
        resident=filtered,
        removed=vectors.cpu().numpy(),
    )


def thinned_there(filtered: FilteredBlock, working: WorkingGrid) -> FilteredBlock | None:
    """Thin a block on the device that it is on; None: it must be done on the CPU."""
    if filtered.resident is None:
        return None
    try:
        thin = working.resident(filtered.resident)
        frames = thin.cpu().numpy()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
    return replace(filtered, frames=frames, valid=working.valid(filtered.valid), resident=thin)


def kept_there(
    resident: Any, psf: Psf, threshold: float, first_frame: int, stop: Callable[[], bool]
) -> SparseFrames:
    """Voxels whose squared correlation reaches a threshold, for frames on a device.

    Parameters
    ----------
    resident
        (t, z, y, x) tensor of filtered frames.
    psf, threshold
        PSF of the correlation map, and threshold on |c|^2.
    first_frame
        Number of the first frame in the whole acquisition.
    stop
        Called between chunks of frames.

    Raises
    ------
    Cancelled
        `stop` returned true.
    """
    import torch

    from napari_ulm3d.filtering.device import correlation_map

    n_frames, *grid = resident.shape
    size = max(1, _CHUNK // int(np.prod(grid)))
    parts = []
    with torch.inference_mode():
        for start in range(0, n_frames, size):
            if stop():
                raise Cancelled("The run was cancelled; finished blocks are kept.")
            c = correlation_map(resident[start : start + size], psf)
            powers = c.real.square() + c.imag.square() if c.is_complex() else c.square()
            at = (powers >= threshold).flatten().nonzero().flatten()
            values = c.flatten().index_select(0, at).to(torch.complex64)
            parts.append((at + start * int(np.prod(grid)), values))
        flat = torch.cat([at for at, _ in parts]).cpu().numpy()
        values_there = torch.cat([values for _, values in parts]).cpu().numpy()
    shape = (n_frames, *grid)
    coordinates = np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int32)
    t, z, y, x = shape
    return SparseFrames(coordinates, values_there, (t, z, y, x), first_frame)
