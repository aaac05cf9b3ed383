"""What happens to one block: read, filter, correlate, localize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.filtering import (
    FilteredBlock,
    Psf,
    analytic_psf,
    clutter_filter,
    estimate_carrier,
    estimate_psf,
    make_psf,
    power_doppler,
    refuse_constant,
    rescale,
)
from napari_ulm3d.io.results import AMPLITUDE_LOG2, BlockResult
from napari_ulm3d.pipeline.localizers import localizer_of
from napari_ulm3d.pipeline.plan import BlockPlan

__all__ = [
    "acquisition_psf",
    "filter_block",
    "localize_block",
    "measures_widths",
    "stages_of_a_block",
]

# Patches in which bubbles must be alone, for their widths: where many are in view, few are
# alone in a large one.
_PATCHES = ((7, 7, 7), (5, 5, 5), (3, 3, 3))


def stages_of_a_block(config: PipelineConfig) -> tuple[str, ...]:
    """Sections of the settings that a block's result depends on (see `key_facts`)."""
    return ("load", "clutter", "psf", *localizer_of(config).sections)


def measures_widths(config: PipelineConfig) -> bool:
    """Whether the PSF's widths are measured for the localizer, and not those of the settings."""
    return config.psf.source == "auto" and localizer_of(config).measures_widths


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
    widths = measures_widths(config)
    measured = settings.source == "data" or (kind == "iq" and settings.carrier == "data")
    if not (measured or widths):
        return analytic_psf(settings, acquisition.grid, acquisition.wavelength_um, kind), None
    filtered = filter_block(first, acquisition, config)
    if widths:
        return _psf_of_measured_widths(filtered, acquisition, config), filtered
    psf = make_psf(
        settings,
        filtered.frames,
        acquisition.grid,
        acquisition.wavelength_um,
        kind,
        filtered.valid,
    )
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
            found = estimate_psf(frames, settings.replace(patch_voxels=patch), filtered.valid)
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
    plan: BlockPlan,
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
    filtered = filtered or filter_block(block, plan.acquisition, plan.config)
    found = localizer_of(plan.config).localize(block, filtered, plan, stop, progress)
    facts = found.facts
    if filtered.components is not None:
        first, last = filtered.components
        facts = facts | {"svd_first_kept": float(first), "svd_last_kept": float(last)}
    if filtered.exponent:
        facts = facts | {AMPLITUDE_LOG2: float(filtered.exponent)}
    power = power_doppler(filtered.frames)
    return BlockResult(found.localizations, power, block.n_frames, facts, found.trajectory)
