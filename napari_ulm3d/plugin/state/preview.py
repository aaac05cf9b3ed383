"""What the widgets look at while settings are tuned: one filtered block, its PSF, one frame.

Plain functions of the core with the last answers kept, for any thread. Nothing here knows
the viewer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import FilteredBlock, Psf, correlation_map, svd_spectrum
from napari_ulm3d.pipeline.blocks import acquisition_psf, filter_block
from napari_ulm3d.pipeline.networks import NETWORKS

__all__ = ["Preview", "block_at", "for_network"]

Value = TypeVar("Value")

_CHUNK_BYTES = 8 << 20


def block_at(acquisition: Acquisition, config: PipelineConfig, frame: int) -> Block:
    """The block that holds a frame."""
    blocks = acquisition.blocks(config.load.frames_per_block)
    first = [block.first_frame for block in blocks]
    return blocks[int(np.searchsorted(first, frame, side="right")) - 1]


def for_network(config: PipelineConfig) -> PipelineConfig:
    """The settings with a network as localizer: what it would be given to see."""
    if config.localize.localizer in NETWORKS:
        return config
    return config.model_copy(update={"localize": config.localize.replace(localizer="network")})


def _psf_key(config: PipelineConfig) -> tuple[Hashable, ...]:
    """What a PSF depends on: networks have its widths measured, unless the settings say them."""
    measured = config.psf.source == "auto" and config.localize.localizer in NETWORKS
    return (config.psf, measured, config.clutter, config.load.frames_per_block)


class Preview:
    """Filtered blocks, PSFs and correlation maps of an acquisition, the latest kept.

    A PSF that has to be measured is measured on the first block, as in a run.
    """

    def __init__(self, acquisition: Acquisition) -> None:
        self.acquisition = acquisition
        # One computation at a time: whoever waits finds the answer when it is his turn.
        self._lock = threading.RLock()
        self._kept: dict[str, OrderedDict[Hashable, Any]] = {}

    def block_index(self, config: PipelineConfig, frame: int) -> int:
        """Number of the block that holds a frame."""
        return block_at(self.acquisition, config, frame).index

    def filtered(self, config: PipelineConfig, frame: int) -> tuple[Block, FilteredBlock]:
        """The block about a frame, after the clutter filter. Do not write to it."""
        block = block_at(self.acquisition, config, frame)
        key = (config.clutter, config.load.frames_per_block, block.index)
        found = self._remember(
            "block", key, 1, lambda: filter_block(block, self.acquisition, config)
        )
        return block, found

    def spectrum(self, config: PipelineConfig, frame: int) -> NDArray[np.float64] | None:
        """Singular values of the unfiltered block about a frame, descending; None without SVD.

        All of them, where a run computes only those that it drops.
        """
        if "svd" not in config.clutter.method:
            return None
        block = block_at(self.acquisition, config, frame)
        key = (config.load.frames_per_block, block.index)
        return self._remember("spectrum", key, 1, lambda: svd_spectrum(block.read())[0])

    def psf(self, config: PipelineConfig) -> Psf:
        """The PSF of the settings."""
        key = _psf_key(config)

        def make() -> Psf:
            first = block_at(self.acquisition, config, 0)
            psf, filtered = acquisition_psf(self.acquisition, config, first)
            if filtered is not None:
                block_key = (config.clutter, config.load.frames_per_block, 0)
                self._remember("block", block_key, 1, lambda: filtered)
            return psf

        return self._remember("psf", key, 4, make)

    def correlation(self, config: PipelineConfig, frame: int) -> NDArray[Any]:
        """The correlation map of one frame, (z, y, x)."""
        key = (*_psf_key(config), frame)

        def make() -> NDArray[Any]:
            psf = self.psf(config)
            block, filtered = self.filtered(config, frame)
            at = frame - block.first_frame
            correlated: NDArray[Any] = correlation_map(filtered.frames[at : at + 1], psf)[0]
            return correlated

        return self._remember("correlation", key, 4, make)

    def correlation_about(
        self, config: PipelineConfig, frame: int, reach: int
    ) -> tuple[NDArray[Any], int]:
        """Correlation maps of a frame and of `reach` frames on either side within its block.

        Returns them, (t, z, y, x), and the place of the frame among them.
        """
        psf = self.psf(config)
        block, filtered = self.filtered(config, frame)
        at = frame - block.first_frame
        low = max(at - reach, 0)
        frames = filtered.frames[low : at + reach + 1]
        correlated: NDArray[Any] = correlation_map(frames, psf)
        return correlated, at - low

    def block_powers(
        self, config: PipelineConfig, frame: int, stop: Callable[[], bool]
    ) -> NDArray[np.float32]:
        """Squared correlations of the whole block about a frame, flat, ascending."""
        block = block_at(self.acquisition, config, frame)
        key = (*_psf_key(config), block.index)

        def make() -> NDArray[np.float32]:
            psf = self.psf(config)
            frames = self.filtered(config, frame)[1].frames
            out = np.empty(frames.shape, np.float32)
            size = max(1, _CHUNK_BYTES // max(frames[0].nbytes, 1))
            for start in range(0, len(frames), size):
                if stop():
                    from napari_ulm3d.errors import Cancelled

                    raise Cancelled("The preview was stopped.")
                correlated = correlation_map(frames[start : start + size], psf)
                np.square(np.abs(correlated), out=out[start : start + size])
            flat = out.reshape(-1)
            flat.sort()
            return flat

        return self._remember("powers", key, 1, make)

    def _remember(self, kind: str, key: Hashable, n_kept: int, make: Callable[[], Value]) -> Value:
        with self._lock:
            kept = self._kept.setdefault(kind, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
            while len(kept) >= n_kept:  # before, not after: two blocks are never held
                kept.popitem(last=False)
            value = kept[key] = make()
            return value
