"""Data that the widgets show while settings are tuned: one filtered block, its PSF, one frame.

Core functions with their latest results cached, for any thread. Nothing here depends on
the viewer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import Calibration, calibrated
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.load import USUAL_FRAMES
from napari_ulm3d.config.methods.networks import USUAL_NETWORK
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import FilteredBlock, Psf, correlation_map, rescale, svd_spectrum
from napari_ulm3d.filtering.randomized import leading_components
from napari_ulm3d.frame_sources import FrameSource
from napari_ulm3d.motion import BlockMotion, estimate_motion, m_mode
from napari_ulm3d.pipeline.blocks import acquisition_psf, filter_block, measure
from napari_ulm3d.plugin.state.quantity import Quantity, quantity_key, quantity_of
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import frames_that_decide, sparsify_block, sparsify_topk

__all__ = ["Preview", "block_at", "for_network", "kept_in"]

Value = TypeVar("Value")

_CHUNK_BYTES = 8 << 20
# Frames whose quantity to threshold is kept, the next ones among them.
_QUANTITY_BYTES = 256 << 20
_FEWEST_QUANTITIES, _MOST_QUANTITIES = 4, 40
# A block up to this size, unfiltered, is kept in memory and read from disk once.
_KEPT_BYTES = 512 << 20
# Minimum number of a block's strongest voxels kept: 24 MB.
_FEWEST_STRONGEST = 1 << 20


def block_at(acquisition: Acquisition, config: PipelineConfig, frame: int) -> Block:
    """The block that contains a frame."""
    blocks = acquisition.blocks(config.load.block_frames)
    first = [block.first_frame for block in blocks]
    return blocks[int(np.searchsorted(first, frame, side="right")) - 1]


def for_network(config: PipelineConfig) -> PipelineConfig:
    """The settings with a network as localizer, to preview its input."""
    if config.localize.by_network:
        return config
    return config.model_copy(update={"localize": config.localize.replace(localizer=USUAL_NETWORK)})


@dataclass(frozen=True)
class _Kept:
    """Frames of a source from `first` on that have been read."""

    source: FrameSource
    first: int
    frames: NDArray[Any]

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        return self.frames[start - self.first : stop - self.first].copy()


def _psf_key(config: PipelineConfig) -> tuple[Hashable, ...]:
    """The settings that a PSF depends on."""
    return (config.psf, config.clutter, config.load.block_frames)


def _quantity_key(config: PipelineConfig, frame: int) -> tuple[Hashable, ...]:
    """The settings that the quantity of a frame depends on."""
    return (*_psf_key(config), *quantity_key(config.sparsify), frame)


class Preview:
    """Filtered blocks, PSFs and frames of an acquisition, with the latest cached.

    If the PSF is measured, it is measured on the first block, as in a run.
    """

    def __init__(self, acquisition: Acquisition) -> None:
        self.acquisition = acquisition
        # One computation at a time: a waiting thread then finds the cached result.
        self._lock = threading.RLock()
        self._kept: dict[str, OrderedDict[Hashable, Any]] = {}

    def block_index(self, config: PipelineConfig, frame: int) -> int:
        """Number of the block that contains a frame."""
        return block_at(self.acquisition, config, frame).index

    def block(self, config: PipelineConfig, frame: int) -> Block:
        """The block that contains a frame, whose `read` reads from disk once unless it is large."""
        block = block_at(self.acquisition, config, frame)
        voxels = block.n_frames * self.acquisition.grid.size
        if voxels * block.source.dtype.itemsize > _KEPT_BYTES:
            return block
        frames = self._remember(
            "read", (config.load.frames_per_block, block.index), 1, lambda: block.read()
        )
        return replace(block, source=_Kept(block.source, block.start, frames))

    def filtered(self, config: PipelineConfig, frame: int) -> tuple[Block, FilteredBlock]:
        """The block that contains a frame, after the clutter filter. Do not write to it."""
        block = block_at(self.acquisition, config, frame)
        key = (config.clutter, config.load.frames_per_block, block.index)
        still = config.model_copy(update={"motion": config.motion.replace(method="none")})
        found = self._remember(
            "block",
            key,
            1,
            lambda: filter_block(self.block(config, frame), self.acquisition, still),
        )
        return block, found

    def motion(
        self, config: PipelineConfig, frame: int
    ) -> tuple[Block, BlockMotion, NDArray[np.float32], NDArray[np.float32]]:
        """Tissue motion in the block with this frame, and its M-mode before and after correction.

        With the method auto, the deformation is estimated too.
        """
        acquisition = self.acquisition
        block = block_at(acquisition, config, frame)
        key = (
            config.motion.method,
            config.motion.smoothing_s,
            config.load.frames_per_block,
            block.index,
        )

        def compute() -> tuple[BlockMotion, NDArray[np.float32], NDArray[np.float32]]:
            frames, spacing = self.block(config, frame).read(), acquisition.grid.spacing_um
            rescale(frames)
            motion = estimate_motion(frames, spacing, acquisition.rate_hz, config.motion)
            return motion, m_mode(frames, spacing), m_mode(frames, spacing, motion)

        return block, *self._remember("motion", key, 2, compute)

    def spectrum(self, config: PipelineConfig, frame: int) -> NDArray[np.float64] | None:
        """Singular values, descending, of the unfiltered block with this frame; None without SVD.

        All of them, although a run computes only those it removes; in a long block, the strongest.
        """
        if "svd" not in config.clutter.method:
            return None
        block = block_at(self.acquisition, config, frame)
        key = (config.load.frames_per_block, block.index)

        def compute() -> NDArray[np.float64]:
            frames = self.block(config, frame).read()
            exponent = rescale(frames)
            values: NDArray[np.float64]
            if len(frames) > 2 * USUAL_FRAMES:  # all would take half a minute
                values = leading_components(frames.reshape(len(frames), -1), USUAL_FRAMES)[0]
            else:
                values = svd_spectrum(frames)[0]
            return np.ldexp(values, -exponent)

        return self._remember("spectrum", key, 1, compute)

    def psf(self, config: PipelineConfig) -> Psf:
        """The PSF for the settings."""
        key = _psf_key(config)

        def make() -> Psf:
            first = self.block(config, 0)
            psf, filtered = acquisition_psf(self.acquisition, config, first)
            if filtered is not None:
                block_key = (config.clutter, config.load.frames_per_block, 0)
                self._remember("block", block_key, 1, lambda: filtered)
            return psf

        return self._remember("psf", key, 4, make)

    def calibration(self, config: PipelineConfig) -> Calibration:
        """What a run would measure, on the same blocks."""
        acquisition = self.acquisition

        def make() -> Calibration:
            blocks = acquisition.blocks(config.load.block_frames)
            return calibrated(
                lambda block: measure(block, acquisition, config)[0], blocks, acquisition, config
            )

        key = (*_psf_key(config), config.calibrate, config.localize)
        return self._remember("calibration", key, 2, make)

    def quantity(self, config: PipelineConfig, frame: int) -> Quantity:
        """What is thresholded on a frame."""

        def make() -> Quantity:
            psf = self.psf(config)
            block, filtered = self.filtered(config, frame)
            return _quantity(filtered, frame - block.first_frame, psf, config)

        return self._remember("quantity", _quantity_key(config, frame), self._n_quantities, make)

    def quantity_at_once(self, config: PipelineConfig, frame: int) -> Quantity | None:
        """What is thresholded on a frame, if it is there; None rather than to wait for it."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            key = _quantity_key(config, frame)
            return self.quantity(config, frame) if self._used("quantity", key) else None
        finally:
            self._lock.release()

    def look_ahead(
        self, config: PipelineConfig, frame: int, step: int, stop: Callable[[], bool]
    ) -> None:
        """Compute `quantity` of a frame's neighbours in its block, to be there when asked for.

        A frame that is asked for in the meantime does not wait for them.

        Parameters
        ----------
        step
            1 or -1: the direction in which most of them lie.

        Raises
        ------
        Cancelled
            `stop` returned True.
        """
        psf = self.psf(config)
        block, filtered = self.filtered(config, frame)
        n_ahead = 3 * (self._n_quantities - 1) // 4
        near = [frame + step * k for k in range(1, n_ahead + 1)]
        near += [frame - step * k for k in range(1, self._n_quantities - n_ahead)]
        keys = {
            k: _quantity_key(config, k) for k in near if 0 <= k - block.first_frame < block.n_frames
        }
        # All that are there first, so that none of them makes room for another.
        missing = [k for k, key in keys.items() if not self._used("quantity", key)]
        for other in missing:
            if stop():
                raise Cancelled("Preview stopped.")
            value = _quantity(filtered, other - block.first_frame, psf, config)
            self._remember("quantity", keys[other], self._n_quantities, lambda v=value: v)  # type: ignore[misc]

    @property
    def _n_quantities(self) -> int:
        """Number of frames whose quantity is kept."""
        many = _QUANTITY_BYTES // (4 * self.acquisition.grid.size)
        return min(max(_FEWEST_QUANTITIES, many), _MOST_QUANTITIES)

    def learned(self, config: PipelineConfig, frame: int) -> NDArray[np.bool_]:
        """Mask (z, y, x) of the voxels of a frame that the mask network keeps in a run."""
        block, filtered = self.filtered(config, frame)
        settings, at = config.sparsify, frame - block.first_frame
        first, end = frames_that_decide(settings, at, block.n_frames, config.device)
        key = (*_psf_key(config), settings.weights, config.device, block.index, first, end)

        def make() -> SparseFrames:
            maps = correlation_map(filtered.frames[first:end], self.psf(config))
            return sparsify_block([maps], settings, device=config.device)

        return kept_in(self._remember("learned", key, 1, make), at - first)

    def strongest(
        self, config: PipelineConfig, frame: int, stop: Callable[[], bool]
    ) -> SparseFrames:
        """The strongest voxels of the block that contains a frame: `top_k` of them or more.

        More, so that another `top_k` can be chosen from them without reading the block
        again: `sparsify_topk` of these is `sparsify_topk` of the block.
        """
        block = block_at(self.acquisition, config, frame)
        count = max(_FEWEST_STRONGEST, 1 << (config.sparsify.top_k - 1).bit_length())
        key = (*_psf_key(config), block.index, count)

        def make() -> SparseFrames:
            frames, psf = self.filtered(config, frame)[1].frames, self.psf(config)
            size = max(1, _CHUNK_BYTES // max(frames[0].nbytes, 1))

            def maps() -> Iterator[NDArray[Any]]:
                for start in range(0, len(frames), size):
                    if stop():
                        raise Cancelled("Preview stopped.")
                    yield correlation_map(frames[start : start + size], psf)

            return sparsify_topk(maps(), config.sparsify.replace(top_k=count))

        return self._remember("strongest", key, 1, make)

    def _used(self, kind: str, key: Hashable) -> bool:
        """Whether a value is kept; it then counts as the latest used."""
        with self._lock:
            kept = self._kept.get(kind, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
            return key in kept

    def _remember(self, kind: str, key: Hashable, n_kept: int, make: Callable[[], Value]) -> Value:
        with self._lock:
            kept = self._kept.setdefault(kind, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
            while len(kept) >= n_kept:  # before, not after: never hold two blocks
                kept.popitem(last=False)
            value = kept[key] = make()
            return value


def _quantity(filtered: FilteredBlock, at: int, psf: Psf, config: PipelineConfig) -> Quantity:
    """What is thresholded on a frame of a block."""
    return quantity_of(correlation_map(filtered.frames[at : at + 1], psf)[0], config.sparsify)


def kept_in(kept: SparseFrames, frame: int) -> NDArray[np.bool_]:
    """Mask (z, y, x) of the voxels of one frame that are among the kept ones."""
    mask = np.zeros(kept.shape[1:], bool)
    low, high = np.searchsorted(kept.coordinates[:, 0], [frame, frame + 1])
    mask[tuple(kept.coordinates[low:high, 1:].T)] = True
    return mask
