"""The quantity that sparsification thresholds on one frame, and the voxels it would keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import PipelineConfig, SparsifyConfig
from napari_ulm3d.plugin.state.preview import Preview, block_at, kept_in
from napari_ulm3d.plugin.state.quantity import N_BINS, Quantity
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import (
    power,
    reaches_threshold,
    sparsify_topk,
    stands_out,
)

__all__ = ["Level", "level_at_once", "level_of", "same_level"]

# Settings that act on an existing level; all others need a new one.
_BARS = {"threshold", "min_snr_db", "top_k"}


@dataclass(frozen=True)
class Level:
    """The quantity that a strategy thresholds, on one frame, and what it is compared with.

    Attributes
    ----------
    quantity
        The values (z, y, x) and their histogram.
    strongest, at
        topk: the strongest voxels of the whole block, and the index of the frame in it.
    learned
        learned: the mask; else None.
    """

    frame: int
    strategy: str
    quantity: Quantity
    strongest: SparseFrames | None = None
    at: int = 0
    learned: NDArray[np.bool_] | None = None

    @property
    def words(self) -> str:
        """The quantity in words."""
        contrast = self.strategy == "contrast"
        return "local contrast (dB)" if contrast else "squared correlation |c|²"

    def counts_of_learned(self) -> NDArray[np.float64] | None:
        """The histogram of the voxels that the mask keeps; None without a mask."""
        if self.learned is None:
            return None
        span = self.quantity.span
        chosen = np.clip(self.quantity.values[self.learned], *span)
        return np.histogram(chosen, N_BINS, span)[0].astype(float)

    def kept(self, config: SparsifyConfig) -> tuple[NDArray[np.bool_], float]:
        """The voxels kept by the rules of the stage, and the threshold value."""
        if self.learned is not None:
            return self.learned, np.nan
        if self.strategy == "contrast":
            return stands_out(self.quantity.values, config), config.min_snr_db
        if self.strongest is None:
            return reaches_threshold(self.quantity.values, config), config.threshold
        among = self.strongest
        chosen = sparsify_topk([among.values.reshape(1, 1, 1, -1)], config).coordinates[:, 3]
        mask = kept_in(
            SparseFrames(among.coordinates[chosen], among.values[chosen], among.shape), self.at
        )
        bar = power(among.values[chosen]).min() if chosen.size else np.finfo(np.float32).tiny
        return mask, float(bar)

    def serves(self, config: SparsifyConfig) -> bool:
        """Whether enough of the block's strongest voxels are available."""
        return self.strongest is None or config.top_k <= len(self.strongest)


def level_of(
    preview: Preview, config: PipelineConfig, frame: int, stop: Callable[[], bool]
) -> Level:
    """The level on a frame for the strategy in the settings.

    Raises
    ------
    Cancelled
        `stop` returned True.
    """
    settings = config.sparsify
    learned = strongest = None
    quantity = preview.quantity(config, frame)
    if settings.strategy == "topk":
        strongest = preview.strongest(config, frame, stop)
    elif settings.strategy == "learned":
        learned = preview.learned(config, frame)
    at = frame - block_at(preview.acquisition, config, frame).first_frame
    return Level(frame, settings.strategy, quantity, strongest, at, learned)


def level_at_once(preview: Preview, config: PipelineConfig, frame: int) -> Level | None:
    """`level_of` if it needs no computation; None rather than to wait."""
    if config.sparsify.strategy not in ("threshold", "contrast"):
        return None
    quantity = preview.quantity_at_once(config, frame)
    return None if quantity is None else Level(frame, config.sparsify.strategy, quantity)


def same_level(before: SparsifyConfig, now: SparsifyConfig) -> bool:
    """Whether a level computed with other settings is still valid."""
    return before.model_dump(exclude=_BARS) == now.model_dump(exclude=_BARS)
