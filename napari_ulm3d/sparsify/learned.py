"""Keep voxels selected by a small network (see `networks.mask_cnn`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import Device, SparsifyConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.networks.shipped import find_weights, load_weights
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify.collect import Collector, shape_of

if TYPE_CHECKING:
    from napari_ulm3d.networks.mask_cnn import MaskCNN

__all__ = ["DEFAULT_WEIGHTS", "frames_that_decide", "sparsify_learned"]

DEFAULT_WEIGHTS = "mask"
"""Name of the shipped weights."""

_FRAMES_AT_ONCE = 8
"""Frames in a group; groups begin at multiples of this, independent of the chunks."""


def sparsify_learned(
    chunks: Iterable[NDArray[Any]],
    config: SparsifyConfig,
    first_frame: int = 0,
    device: Device = "auto",
) -> SparseFrames:
    """Keep voxels selected by the mask network `config.weights` (Rauby et al., arXiv 2402.09359).

    Parameters
    ----------
    chunks
        Consecutive frames of the correlation map, each (t, z, y, x) complex or real.
    config
        `weights`: a file or the name of shipped weights; None: the shipped ``mask``.
    first_frame
        Number of the first frame in the whole acquisition.
    device
        Device for the network.

    Raises
    ------
    ConfigError, InputError
        There are no such weights, or they are not those of a mask network.
    """
    where = resolve_device(device)
    network = _network(config, where)
    kept = Collector(first_frame)
    for frames, mask in _masked(network, chunks, where):
        kept.add(frames, mask)
    return kept.result()


def frames_that_decide(
    config: SparsifyConfig, frame: int, n_frames: int, device: Device = "auto"
) -> tuple[int, int]:
    """Range of a block's frames that determine which voxels of a frame are kept (end exclusive).

    Applied to these frames alone, which begin at a group, `sparsify_learned` keeps the same
    voxels of `frame` as for the whole block.
    """
    reach = len(_network(config, resolve_device(device)).hidden)
    group = frame // _FRAMES_AT_ONCE
    first = max(group - -(-reach // _FRAMES_AT_ONCE), 0) * _FRAMES_AT_ONCE
    return first, min((group + 1) * _FRAMES_AT_ONCE + reach, n_frames)


def _network(config: SparsifyConfig, device: str) -> Any:
    path = find_weights(config.weights, DEFAULT_WEIGHTS)
    return load_weights(path, ("MaskCNN",), device).network


def _masked(
    network: MaskCNN, chunks: Iterable[NDArray[Any]], device: str
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Groups of frames with their masks, each computed with all neighbouring frames in reach."""
    reach = len(network.hidden)  # each layer but the last convolves over three frames
    held: NDArray[Any] | None = None
    begun, done, grid = 0, 0, None  # numbers of the first frame held and of the next group's first

    def group(frames: NDArray[Any], size: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        low, high = max(begun, done - reach), min(done + size + reach, begun + len(frames))
        mask = _mask(network, frames[low - begun : high - begun], device)
        own = slice(done - low, done - low + size)
        return frames[done - begun : done - begun + size], mask[own]

    for chunk in chunks:
        grid = shape_of(chunk, grid)
        held = chunk.copy() if held is None else np.concatenate([held, chunk])
        while begun + len(held) >= done + _FRAMES_AT_ONCE + reach:
            yield group(held, _FRAMES_AT_ONCE)
            done += _FRAMES_AT_ONCE
            first = max(begun, done - reach)
            begun, held = first, held[first - begun :]
    while held is not None and begun + len(held) > done:
        size = min(_FRAMES_AT_ONCE, begun + len(held) - done)
        yield group(held, size)
        done += size


def _mask(network: MaskCNN, frames: NDArray[Any], device: str) -> NDArray[np.bool_]:
    import torch

    pair = np.stack([frames.real, np.imag(frames)]).astype(np.float32)
    with torch.inference_mode():
        return network.mask(torch.from_numpy(pair)[None].to(device))[0].cpu().numpy()
