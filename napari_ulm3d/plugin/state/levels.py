"""The quantity that sparsification thresholds on one frame, and the voxels it would keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import PipelineConfig, SparsifyConfig
from napari_ulm3d.plugin.state.preview import Preview, block_at, kept_in
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import (
    local_contrast_db,
    power,
    reaches_threshold,
    sparsify_topk,
    stands_out,
)

__all__ = ["Level", "level_of", "same_level"]

_BINS = 100
_CONTRAST_RANGE_DB = (-20.0, 30.0)
# Settings that act on an existing level; all others need a new one.
_BARS = {"threshold", "min_snr_db", "top_k"}


@dataclass(frozen=True)
class Level:
    """The quantity that a strategy thresholds, on one frame, and its histogram.

    Attributes
    ----------
    values
        (z, y, x): |c|^2, or the local contrast in dB.
    centres, counts
        The histogram.
    strongest, at
        topk: the strongest voxels of the whole block, and the index of the frame in it.
    learned
        learned: the mask; else None.
    """

    frame: int
    strategy: str
    values: NDArray[np.float32]
    centres: NDArray[np.float64]
    counts: NDArray[np.int64]
    strongest: SparseFrames | None = None
    at: int = 0
    learned: NDArray[np.bool_] | None = None

    @property
    def quantity(self) -> str:
        """The quantity in words."""
        contrast = self.strategy == "contrast"
        return "local contrast (dB)" if contrast else "squared correlation |c|²"

    @property
    def span(self) -> tuple[float, float]:
        """The ends of the histogram."""
        step = float(self.centres[1] - self.centres[0])
        return (float(self.centres[0]) - step / 2, float(self.centres[-1]) + step / 2)

    def counts_of_learned(self) -> NDArray[np.float64] | None:
        """The histogram of the voxels that the mask keeps; None without a mask."""
        if self.learned is None:
            return None
        chosen = np.clip(self.values[self.learned], *self.span)
        return np.histogram(chosen, _BINS, self.span)[0].astype(float)

    def kept(self, config: SparsifyConfig) -> tuple[NDArray[np.bool_], float]:
        """The voxels kept by the rules of the stage, and the threshold value."""
        if self.learned is not None:
            return self.learned, np.nan
        if self.strategy == "contrast":
            return stands_out(self.values, config), config.min_snr_db
        if self.strongest is None:
            return reaches_threshold(self.values, config), config.threshold
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
    correlation = preview.correlation(config, frame)
    if settings.strategy == "contrast":
        values = local_contrast_db(correlation, settings.patch_voxels)
        low, high = _CONTRAST_RANGE_DB
    else:
        values = power(correlation)
        low, high = 0.0, 1.0
    if settings.strategy == "topk":
        strongest = preview.strongest(config, frame, stop)
    elif settings.strategy == "learned":
        learned = preview.learned(config, frame)
    at = frame - block_at(preview.acquisition, config, frame).first_frame
    shown = np.clip(np.nan_to_num(values, nan=low), low, high)
    counts, edges = np.histogram(shown, _BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    return Level(frame, settings.strategy, values, centres, counts, strongest, at, learned)


def same_level(before: SparsifyConfig, now: SparsifyConfig) -> bool:
    """Whether a level computed with other settings is still valid."""
    return before.model_dump(exclude=_BARS) == now.model_dump(exclude=_BARS)
