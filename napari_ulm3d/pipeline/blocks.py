"""Process one block: read, filter, correlate, localize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import (
    BlockMeasurement,
    Calibration,
    combine,
    measure_block,
    needs_data,
    with_cut,
)
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import (
    FilteredBlock,
    Psf,
    clutter_filter,
    power_doppler,
    refuse_constant,
    rescale,
)
from napari_ulm3d.io.results import AMPLITUDE_LOG2, BlockResult
from napari_ulm3d.motion import (
    BlockMotion,
    deformation_between,
    estimate_motion,
    moved_back,
    offset_um,
)
from napari_ulm3d.pipeline.localizers import localizer_of
from napari_ulm3d.pipeline.localizers.on_device import (
    block_device,
    filtered_there,
    thinned_there,
)
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.tables import Localizations

__all__ = [
    "acquisition_psf",
    "filter_block",
    "localize_block",
    "measure",
    "on_working_grid",
    "resolved",
    "stages_of_a_block",
]


def stages_of_a_block(config: PipelineConfig) -> tuple[str, ...]:
    """Sections of the settings on which a block's result depends (see `key_facts`)."""
    moving = () if config.motion.method == "none" else ("motion",)
    return ("load", "clutter", "psf", *moving, *localizer_of(config).sections)


def filter_block(block: Block, acquisition: Acquisition, config: PipelineConfig) -> FilteredBlock:
    """Read a block and remove the tissue, in place.

    Raises
    ------
    InputError
        The block is constant or cannot be read.
    """
    frames = block.read()
    refuse_constant(frames, block.name)
    exponent = rescale(frames)
    motion = None
    if config.motion.method in ("rigid", "deformable"):
        spacing = acquisition.grid.spacing_um
        motion = estimate_motion(frames, spacing, acquisition.rate_hz, config.motion)
    device = block_device(config)
    filtered = None if device is None else filtered_there(frames, config.clutter, device)
    if filtered is None:
        filtered = clutter_filter(frames, acquisition.rate_hz, config.clutter)
    return replace(filtered, exponent=exponent, motion=motion)


def measure(
    block: Block, acquisition: Acquisition, config: PipelineConfig, tries_cuts: bool = True
) -> tuple[BlockMeasurement, FilteredBlock]:
    """Measure a block for the calibration; also return the filtered block."""
    frames = block.read()
    refuse_constant(frames, block.name)
    exponent = rescale(frames)
    found, filtered = measure_block(frames, acquisition, config, tries_cuts)
    return found, replace(filtered, exponent=exponent, motion=found.motion)


def acquisition_psf(
    acquisition: Acquisition, config: PipelineConfig, first: Block
) -> tuple[Psf, FilteredBlock | None]:
    """The PSF on the acquisition's own grid from one block, for viewing its frames.

    If something must be measured, the filtered block is returned too.
    """
    unthinned = config.calibrate.replace(thinning=(1, 1, 1))
    still = config.motion.replace(method="none")
    config = config.model_copy(update={"calibrate": unthinned, "motion": still})
    if not needs_data(acquisition, config):
        return combine([], acquisition, config).psf, None
    found, filtered = measure(first, acquisition, config, tries_cuts=False)
    return combine([found], acquisition, config).psf, filtered


def resolved(
    config: PipelineConfig, calibration: Calibration, blocks: Sequence[Block]
) -> PipelineConfig:
    """The settings with measured numbers in place of automatic ones."""
    longest = max(block.n_frames for block in blocks)
    if config.clutter.svd_range is None and calibration.svd_first is not None:
        config = with_cut(config, calibration.svd_first, longest)
    localize = config.localize.for_psf(calibration.psf.fwhm_voxels)
    motion = config.motion.model_copy(update={"method": calibration.motion_method})
    return config.model_copy(update={"localize": localize, "motion": motion})


def localize_block(
    block: Block,
    plan: BlockPlan,
    stop: Callable[[], bool],
    filtered: FilteredBlock | None = None,
    progress: Callable[[float], None] | None = None,
) -> BlockResult:
    """Localize the bubbles of one block, holding nothing larger than the block.

    `filtered` is the block after `filter_block`, if available; `progress` is called with the
    share of the block that is done.

    Raises
    ------
    Cancelled
        `stop` returned true between two chunks of frames.
    """
    reference = None if plan.calibration is None else plan.calibration.motion_reference
    if filtered is None or (reference is not None and filtered.motion is None):
        filtered = filter_block(block, plan.acquisition, plan.config)
    found = localizer_of(plan.config).localize(
        block, on_working_grid(filtered, plan), plan, stop, progress
    )
    facts = found.facts
    if filtered.components is not None:
        first, last = filtered.components
        facts = facts | {"svd_first_kept": float(first), "svd_last_kept": float(last)}
    if filtered.exponent:
        facts = facts | {AMPLITUDE_LOG2: float(filtered.exponent)}
    power = power_doppler(filtered.frames)
    localizations = _within(found.localizations, filtered.valid, plan)
    moved = None
    if reference is not None and filtered.motion is not None:
        rate_hz, motion = plan.acquisition.rate_hz, _against(reference, filtered.motion, plan)
        localizations = moved_back(
            localizations,
            motion,
            block.first_frame,
            rate_hz,
            plan.config.motion,
            plan.acquisition.grid,
        )
        moved = motion.to_table(block.first_frame, rate_hz)
    return BlockResult(localizations, power, block.n_frames, facts, found.trajectory, moved)


def on_working_grid(filtered: FilteredBlock, plan: BlockPlan) -> FilteredBlock:
    """The filtered block on the working grid; the block itself if nothing is thinned."""
    if plan.calibration is None or plan.calibration.working.is_full:
        return filtered
    working = plan.calibration.working
    there = thinned_there(filtered, working)
    if there is not None:
        return there
    return replace(
        filtered,
        frames=working.frames(filtered.frames),
        valid=working.valid(filtered.valid),
        resident=None,
    )


def _against(reference: NDArray[np.float32], motion: BlockMotion, plan: BlockPlan) -> BlockMotion:
    """A block's motion relative to the reference image of the acquisition."""
    spacing = plan.acquisition.grid.spacing_um
    if plan.config.motion.method != "deformable":  # a calibration block may have both
        motion = replace(motion, deformed=None)
    if motion.deformed is not None and motion.deformed.image is not None:
        image = motion.deformed.image
        offset, _ = offset_um(reference, image, spacing)
        return motion.against(offset, deformation_between(reference, image, offset, spacing))
    if motion.image is None:
        return motion
    return motion.against(offset_um(reference, motion.image, spacing)[0])


def _within(
    found: Localizations, valid: NDArray[np.bool_] | None, plan: BlockPlan
) -> Localizations:
    """Keep positions within voxels that contain data; coarse voxels extend slightly beyond them.

    An isolated dead voxel belongs to the field of view.
    """
    whole = plan.calibration is None or plan.calibration.working.is_full
    if not len(found) or (whole and valid is None):
        return found
    grid = plan.acquisition.grid
    inside = grid.contains(found.positions_um)
    if valid is not None:
        field = valid | binary_closing(valid, np.ones((3, 3, 3), np.bool_))
        voxel = np.rint(grid.to_index(found.positions_um[inside])).astype(np.int64)
        inside[inside] = field[*np.clip(voxel, 0, np.array(grid.shape) - 1).T]
    return Localizations(found.table[inside].reset_index(drop=True))
