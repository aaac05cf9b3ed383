"""What happens to one block: read, filter, correlate, localize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled, InputError
from napari_ulm3d.filtering import (
    FilteredBlock,
    Psf,
    analytic_psf,
    clutter_filter,
    correlation_map,
    estimate_carrier,
    estimate_psf,
    make_psf,
    power_doppler,
    refuse_constant,
    rescale,
)
from napari_ulm3d.io.results import AMPLITUDE_LOG2, BlockResult
from napari_ulm3d.localize import Rejections, localize
from napari_ulm3d.pipeline.networks import NETWORKS, network_block
from napari_ulm3d.tables import Localizations

__all__ = ["acquisition_psf", "filter_block", "localize_block", "stages_of_a_block"]

# Patches in which bubbles must be alone, for their widths: where many are in view, few are
# alone in a large one.
_PATCHES = ((7, 7, 7), (5, 5, 5), (3, 3, 3))

# Frames are correlated and localized this many bytes at a time: small enough to stay in
# the processor's cache and to hear a stop soon, large enough to feed all threads.
_CHUNK_BYTES = 8 << 20


def stages_of_a_block(config: PipelineConfig) -> tuple[str, ...]:
    """Sections of the settings that a block's result depends on (see `networks.key_facts`)."""
    stages = ("load", "clutter", "psf")
    return stages if config.localize.localizer in NETWORKS else (*stages, "localize")


def filter_block(block: Block, acquisition: Acquisition, config: PipelineConfig) -> FilteredBlock:
    """Read a block and take the tissue out of it, in place.

    Raises
    ------
    InputError
        Nothing changes in the block, or it cannot be read.
    """
    frames = block.read()
    refuse_constant(frames, block.name)
    exponent = rescale(frames)
    filtered = clutter_filter(frames, acquisition.rate_hz, config.clutter)
    return replace(filtered, exponent=exponent)


def acquisition_psf(
    acquisition: Acquisition, config: PipelineConfig, first: Block
) -> tuple[Psf, FilteredBlock | None]:
    """The PSF of the whole acquisition, as the settings ask for it.

    What has to be measured (the PSF itself, or its axial carrier phase) is measured on the
    first block, which is then returned too: filtering it a second time can be spared.
    A network needs the widths: a PSF too wide lowers the correlation of every bubble, and
    those below the threshold are lost to it.
    """
    settings, kind = config.psf, acquisition.kind
    widths = settings.source == "auto" and config.localize.localizer in NETWORKS
    measured = settings.source == "data" or (kind == "iq" and settings.carrier == "data")
    if not (measured or widths):
        return analytic_psf(settings, acquisition.grid, acquisition.wavelength_um, kind), None
    filtered = filter_block(first, acquisition, config)
    if widths:
        return _psf_of_measured_widths(filtered, acquisition, config), filtered
    psf = make_psf(settings, filtered.frames, acquisition.grid, acquisition.wavelength_um, kind)
    return psf, filtered


def _psf_of_measured_widths(
    filtered: FilteredBlock, acquisition: Acquisition, config: PipelineConfig
) -> Psf:
    """A Gaussian, as networks are trained with, of the widths of the isolated bubbles.

    Where too few bubbles are alone, the widths of the settings serve.
    """
    settings, frames = config.psf, filtered.frames
    said = "analytic Gaussian; too few isolated bubbles to measure its widths"
    for patch in _PATCHES:
        try:
            found = estimate_psf(frames, settings.replace(patch_voxels=patch))
        except InputError:
            continue
        z, y, x = (max(1.0, float(width)) for width in found.fwhm_voxels)
        # 2-D data tell no width along y: a network knows elevations about as wide as lateral.
        widths = (z, y if acquisition.grid.shape[1] > 1 else x, x)
        settings = settings.replace(fwhm_voxels=widths)
        said = f"analytic Gaussian, its widths {found.source}"
        break
    carrier = estimate_carrier(frames) if settings.carrier == "data" else None
    psf = analytic_psf(
        settings,
        acquisition.grid,
        acquisition.wavelength_um,
        acquisition.kind,
        carrier_rad=carrier,
    )
    return replace(psf, source=said)


def localize_block(
    block: Block,
    acquisition: Acquisition,
    psf: Psf,
    config: PipelineConfig,
    stop: Callable[[], bool],
    filtered: FilteredBlock | None = None,
    progress: Callable[[float], None] | None = None,
) -> BlockResult:
    """Localize the bubbles of one block; nothing larger than the block is held.

    `filtered` is the block after `filter_block`, where it is at hand already; `progress` is
    told the share of the block that is done.

    Raises
    ------
    Cancelled
        `stop` said so between two chunks of frames.
    """
    filtered = filtered or filter_block(block, acquisition, config)
    frames = filtered.frames
    facts: dict[str, float] = {}
    if filtered.components is not None:
        first, last = filtered.components
        facts = {"svd_first_kept": float(first), "svd_last_kept": float(last)}
    if filtered.exponent:
        facts[AMPLITUDE_LOG2] = float(filtered.exponent)
    if config.localize.localizer in NETWORKS:
        result = network_block(
            block, acquisition, psf, config, stop, filtered, _chunks(frames), progress
        )
        return replace(result, facts=result.facts | facts)
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
        if progress is not None:
            progress(stop_at / len(frames))
    counts = {f"rejected_{reason}": float(count) for reason, count in asdict(rejected).items()}
    facts = counts | facts
    return BlockResult(Localizations.concat(parts), power_doppler(frames), block.n_frames, facts)


def _chunks(frames: NDArray[Any]) -> list[tuple[int, int]]:
    size = max(1, _CHUNK_BYTES // max(int(np.prod(frames.shape[1:])) * frames.itemsize, 1))
    return [(start, min(start + size, len(frames))) for start in range(0, len(frames), size)]
