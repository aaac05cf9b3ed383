"""From dense frames of the correlation map to the few relevant voxels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from numpy.typing import NDArray

from napari_ulm3d.config import Device, SparsifyConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify.collect import power
from napari_ulm3d.sparsify.contrast import local_contrast_db, sparsify_contrast, stands_out
from napari_ulm3d.sparsify.learned import frames_that_decide, sparsify_learned
from napari_ulm3d.sparsify.threshold import reaches_threshold, sparsify_threshold
from napari_ulm3d.sparsify.topk import sparsify_topk

__all__ = [
    "STRATEGIES",
    "Strategy",
    "frames_that_decide",
    "local_contrast_db",
    "power",
    "reaches_threshold",
    "sparsify",
    "sparsify_block",
    "sparsify_contrast",
    "sparsify_learned",
    "sparsify_threshold",
    "sparsify_topk",
    "stands_out",
]

Strategy = Callable[[Iterable[NDArray[Any]], SparsifyConfig, int], SparseFrames]

STRATEGIES: dict[str, Strategy] = {
    "threshold": sparsify_threshold,
    "topk": sparsify_topk,
    "contrast": sparsify_contrast,
    "learned": sparsify_learned,
}
"""Selection functions by the name in `SparsifyConfig.strategy`."""


def sparsify_block(
    chunks: Iterable[NDArray[Any]],
    config: SparsifyConfig,
    first_frame: int = 0,
    *,
    device: Device = "auto",
) -> SparseFrames:
    """Sparsify a block given in chunks of frames; only one chunk is in memory.

    Parameters
    ----------
    chunks
        Consecutive frames of the block's correlation map, each (t, z, y, x) complex64 or
        float32. A chunk may be a buffer that is reused for the next one.
    config
        The strategy and its settings.
    first_frame
        Number of the block's first frame in the whole acquisition.
    device
        Device for the network of the strategy ``learned``.

    Returns
    -------
    SparseFrames
        Over the frames of all chunks. The result does not depend on the division into chunks.

    Raises
    ------
    ConfigError
        The strategy does not exist or has no weights.
    InputError
        The chunks' grids differ, or a chunk does not have four axes.
    """
    strategy = STRATEGIES.get(config.strategy)
    if strategy is None:
        raise ConfigError(
            f"There is no sparsification strategy '{config.strategy}'. "
            f"Set sparsify.strategy to one of {', '.join(STRATEGIES)}."
        )
    if strategy is sparsify_learned:
        strategy = partial(sparsify_learned, device=device)
    return strategy(chunks, config, first_frame)


def sparsify(frames: NDArray[Any], config: SparsifyConfig, first_frame: int = 0) -> SparseFrames:
    """Sparsify dense frames (t, z, y, x) at once; see `sparsify_block`."""
    return sparsify_block([frames], config, first_frame)
