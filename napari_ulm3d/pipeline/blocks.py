"""What happens to one block: read, filter, correlate, localize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import (
    FilteredBlock,
    Psf,
    analytic_psf,
    clutter_filter,
    correlation_map,
    make_psf,
    power_doppler,
)
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.localize import Rejections, localize
from napari_ulm3d.tables import Localizations

__all__ = ["STAGES_OF_A_BLOCK", "acquisition_psf", "filter_block", "localize_block"]

#: Sections of the settings that a block's result depends on.
STAGES_OF_A_BLOCK = ("load", "clutter", "psf", "localize")

# Frames are correlated and localized this many bytes at a time: small enough to stay in
# the processor's cache and to hear a stop soon, large enough to feed all threads.
_CHUNK_BYTES = 8 << 20


def filter_block(block: Block, acquisition: Acquisition, config: PipelineConfig) -> FilteredBlock:
    """Read a block and take the tissue out of it, in place."""
    return clutter_filter(block.read(), acquisition.rate_hz, config.clutter)


def acquisition_psf(
    acquisition: Acquisition, config: PipelineConfig, first: Block
) -> tuple[Psf, FilteredBlock | None]:
    """The PSF of the whole acquisition, as the settings ask for it.

    What has to be measured (the PSF itself, or its axial carrier phase) is measured on the
    first block, which is then returned too: filtering it a second time can be spared.
    """
    settings, kind = config.psf, acquisition.kind
    measured = settings.source == "data" or (kind == "iq" and settings.carrier == "data")
    if not measured:
        return analytic_psf(settings, acquisition.grid, acquisition.wavelength_um, kind), None
    filtered = filter_block(first, acquisition, config)
    psf = make_psf(settings, filtered.frames, acquisition.grid, acquisition.wavelength_um, kind)
    return psf, filtered


def localize_block(
    block: Block,
    acquisition: Acquisition,
    psf: Psf,
    config: PipelineConfig,
    stop: Callable[[], bool],
    filtered: FilteredBlock | None = None,
) -> BlockResult:
    """Localize the bubbles of one block; nothing larger than the block is held.

    `filtered` is the block after `filter_block`, where it is at hand already.

    Raises
    ------
    Cancelled
        `stop` said so between two chunks of frames.
    """
    filtered = filtered or filter_block(block, acquisition, config)
    frames = filtered.frames
    parts: list[Localizations] = []
    rejected = Rejections()
    for start, stop_at in _chunks(frames):
        if stop():
            raise Cancelled("The run was stopped; finished blocks are kept.")
        chunk = frames[start:stop_at]
        found = localize(
            chunk,
            acquisition.grid,
            config.localize,
            rate_hz=acquisition.rate_hz,
            first_frame=block.first_frame + start,
            correlation=correlation_map(chunk, psf),
        )
        parts.append(found.localizations)
        rejected += found.rejections
    facts = {f"rejected_{reason}": float(count) for reason, count in asdict(rejected).items()}
    if filtered.components is not None:
        first, last = filtered.components
        facts |= {"svd_first_kept": float(first), "svd_last_kept": float(last)}
    return BlockResult(Localizations.concat(parts), power_doppler(frames), block.n_frames, facts)


def _chunks(frames: NDArray[Any]) -> list[tuple[int, int]]:
    size = max(1, _CHUNK_BYTES // max(int(np.prod(frames.shape[1:])) * frames.itemsize, 1))
    return [(start, min(start + size, len(frames))) for start in range(0, len(frames), size)]
