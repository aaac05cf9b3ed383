"""The calibration stage: measure a few blocks and derive the `Calibration` of the acquisition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate.block_length import chosen_length, shares_removed
from napari_ulm3d.calibrate.brightness import brightness_finding, only_bright
from napari_ulm3d.calibrate.calibration import Calibration, Finding
from napari_ulm3d.calibrate.common_cut import common_cut
from napari_ulm3d.calibrate.measurement import BlockMeasurement
from napari_ulm3d.calibrate.moving import motion_of
from napari_ulm3d.calibrate.noise import noise_by_depth
from napari_ulm3d.calibrate.thinning import sure_of, thinning_of, working_finding
from napari_ulm3d.calibrate.trial import CutSample
from napari_ulm3d.calibrate.widths import Widths, measure_widths
from napari_ulm3d.calibrate.working_grid import WorkingGrid
from napari_ulm3d.config import ClutterConfig, PipelineConfig, PsfConfig
from napari_ulm3d.config.load import USUAL_FRAMES
from napari_ulm3d.errors import BlockError, InputError, UlmError
from napari_ulm3d.filtering import (
    FilteredBlock,
    Psf,
    analytic_psf,
    axial_phase_step,
    clutter_filter,
    estimate_carrier,
    make_psf,
    one_blas_thread,
    rescale,
    svd_filter,
    tissue_cut,
    valid_voxels,
)
from napari_ulm3d.motion import estimate_motion

__all__ = [
    "BlockMeasurement",
    "calibrate",
    "calibrated",
    "combine",
    "measure_block",
    "needs_data",
    "spread_out",
]

_DOUBTFUL = 0.25  # relative spread of widths between blocks
_MOST_VOXELS, _FEWEST_FRAMES = 10_000_000, 40
"""Voxels times frames, and least number of frames, on which the widths are measured."""


def needs_data(acquisition: Acquisition, config: PipelineConfig) -> bool:
    """Whether any setting must be estimated from the data."""
    psf = config.psf
    carrier = acquisition.kind == "iq" and psf.carrier == "data"
    widths = psf.source == "data" or _measures_widths(config)
    bright = acquisition.kind == "envelope" and config.localize.by_network
    moves = config.motion.method != "none"
    return carrier or widths or bright or _measures_cut(config) or moves


def spread_out(n_blocks: int, count: int) -> list[int]:
    """Indices of the blocks to measure, in order and evenly spaced, starting with the first."""
    return sorted({int(k) for k in np.linspace(0, n_blocks - 1, min(count, n_blocks)).round()})


def measure_block(
    frames: NDArray[Any],
    acquisition: Acquisition,
    config: PipelineConfig,
    tries_cuts: bool = True,
) -> tuple[BlockMeasurement, FilteredBlock]:
    """Measure one block. **Overwrites `frames`**, as `clutter_filter` does.

    Parameters
    ----------
    frames
        (t, z, y, x) as read.
    tries_cuts
        Whether the neighbours of the measured cut are tried (see `trial`).

    Returns
    -------
    measurement
        The measured quantities.
    filtered
        The block after the clutter filter with the measured cut.

    Raises
    ------
    InputError, ConfigError
        The block cannot be filtered, or contains too few isolated bubbles (``psf.source=data``).
    """
    motion = None
    if config.motion.method != "none":
        grid, rate_hz = acquisition.grid, acquisition.rate_hz
        motion = estimate_motion(frames, grid.spacing_um, rate_hz, config.motion)
    cut, settings, sample = None, config, None
    if _measures_cut(config):
        cut = tissue_cut(frames, valid_voxels(frames))
        settings = with_cut(config, cut.first, len(frames))
        if tries_cuts and config.clutter.method == "svd":
            sample = CutSample.of(frames, cut)
        cut = replace(cut, vectors=None)
    filtered = clutter_filter(frames, acquisition.rate_hz, settings.clutter)
    seen = filtered.frames
    noise = noise_by_depth(seen, filtered.valid)
    level = float(np.median(noise))
    widths = None
    if config.psf.source == "data" or _measures_widths(config):
        has_tissue = config.clutter.regions is not None or (cut is not None and cut.first > 1)
        with one_blas_thread():
            widths = _widths_in(seen, has_tissue, filtered.valid, level, acquisition, config)
    carrier = estimate_carrier(seen, filtered.valid) if acquisition.kind == "iq" else 0.0
    psf, thinning = None, (1, 1, 1)
    if config.psf.source == "data":
        known = config.psf.fwhm_voxels or (widths.fwhm_voxels if widths else config.psf.widths)
        thinning = thinning_of(known, sure_of(widths, config), acquisition, config)
        working = WorkingGrid(acquisition.grid, thinning, carrier)
        psf = make_psf(
            config.psf.replace(fwhm_voxels=working.widths(known)),
            working.frames(seen),
            working.grid,
            acquisition.wavelength_um,
            acquisition.kind,
            working.valid(filtered.valid),
        )
    share = 1.0 if filtered.valid is None else float(filtered.valid.mean())
    bright = only_bright(seen, filtered.valid)
    found = BlockMeasurement(
        share, tuple(noise.tolist()), cut, widths, carrier, psf, thinning, motion, bright
    )
    if sample is not None:
        alone_here = combine([found], acquisition, config)
        tried = sample.tried(filtered, alone_here, acquisition.rate_hz, config.localize)
        found = replace(found, tried=tried)
    return found, filtered


def _widths_in(
    seen: NDArray[Any],
    has_tissue: bool,
    valid: NDArray[np.bool_] | None,
    level: float,
    acquisition: Acquisition,
    config: PipelineConfig,
) -> Widths | None:
    """Widths of the bubbles in the middle frames of a filtered block."""
    middle, bubbles, grid = _middle(seen), config.psf.min_bubbles, acquisition.grid
    found = None
    if has_tissue:
        # Residual tissue is wider than a bubble: remove a few more components here.
        last = len(middle)
        stern = ClutterConfig(svd_range=(min(1 + max(3, last // 20), last), last))
        found = measure_widths(svd_filter(middle, stern)[0], grid, valid, level, bubbles)
        if found is not None and found.n_bubbles:
            return found
    # One or two bubbles are a few components themselves.
    whole = measure_widths(middle, grid, valid, level, bubbles)
    return whole if found is None or (whole is not None and whole.n_bubbles) else found


def _middle(frames: NDArray[Any]) -> NDArray[Any]:
    """The middle frames of a block, at most the usual number; of a large volume every second, third, ...

    This is enough for the widths. Between frames farther apart, bubbles move farther, so that the same ones are seen in
    other places.
    """
    first = max(0, len(frames) - USUAL_FRAMES) // 2
    middle = frames[first : first + USUAL_FRAMES]
    affordable = max(_MOST_VOXELS // middle[0].size, _FEWEST_FRAMES)
    return middle[:: max(1, len(middle) // affordable)]


def combine(
    measured: Sequence[BlockMeasurement], acquisition: Acquisition, config: PipelineConfig
) -> Calibration:
    """Combine measurements on blocks into a calibration; without any, use the settings alone.

    Raises
    ------
    ConfigError
        The settings need a wavelength that is not known.
    """
    findings: list[Finding] = []
    warnings: list[str] = []
    said = f"of {len(measured)} blocks" if len(measured) > 1 else "of one block"
    grid = acquisition.grid
    share, noise = 1.0, np.zeros(0)
    if measured:
        share = float(np.mean([one.valid_share for one in measured]))
        noise = np.median([one.noise for one in measured], axis=0)
        findings.append(
            Finding(
                "voxels that contain data", f"{100 * share:.3g} %", "voxels whose value changes"
            )
        )
    first = common_cut(measured, acquisition, config, findings, warnings, said)
    widths, given = _widths(measured, acquisition, config, findings, warnings, said)
    carrier = float(np.angle(sum(np.exp(1j * one.carrier_rad) for one in measured) or 1.0))
    if not measured and acquisition.kind == "iq" and acquisition.wavelength_um is not None:
        carrier = axial_phase_step(grid.spacing_um[0], acquisition.wavelength_um)
    if config.psf.source == "data" and measured:
        thinning = measured[0].thinning
    else:
        sure = all(sure_of(one.widths, config) for one in measured)
        thinning = thinning_of(widths, sure, acquisition, config)
    working = WorkingGrid(grid, thinning, carrier)
    if acquisition.kind == "iq" and measured:
        findings.append(
            Finding(
                "axial carrier", f"{np.degrees(carrier):.0f} degrees per voxel", "autocorrelation"
            )
        )
    psf = measured[0].psf if measured and measured[0].psf is not None else None
    if psf is None:
        psf = _gaussian(widths, given, working, acquisition, config)
    if measured and acquisition.kind == "envelope":
        psf = replace(psf, bright_only=2 * sum(one.bright_only for one in measured) > len(measured))
        findings.append(brightness_finding(psf.bright_only))
    if measured:
        middle = float(np.median(noise))
        low, high = float(noise.min()), float(noise.max())
        findings.append(
            Finding(
                "noise after the clutter filter",
                f"{middle:.3g} (rms), {low:.3g} to {high:.3g} over depth",
                "median magnitude at each depth, over voxels that contain data",
            )
        )
    findings.append(working_finding(working, widths))
    moves, moving, said_of_motion = motion_of([one.motion for one in measured], acquisition, config)
    findings += said_of_motion
    um = [w * s for w, s in zip(widths, grid.spacing_um, strict=True)]
    return Calibration(
        psf=psf,
        working=working,
        fwhm_um=(float(um[0]), float(um[1]), float(um[2])),
        svd_first=first,
        valid_share=share,
        noise_by_depth=tuple(float(level) for level in noise),
        findings=tuple(findings),
        warnings=tuple(warnings),
        motion_method=moves,
        motion_reference=moving,
    )


def calibrate(acquisition: Acquisition, config: PipelineConfig) -> Calibration:
    """Measure a few blocks spread over an acquisition.

    Blocks that cannot be read are replaced by others.

    Raises
    ------
    UlmError
        No block can be read (the first error is raised), or a setting does not fit the data.
    """

    def found(block: Block) -> BlockMeasurement:
        frames = block.read()
        rescale(frames)  # as in a run, so that squares stay within single precision
        return measure_block(frames, acquisition, config)[0]

    length = chosen_length(shares_removed, acquisition, config)
    config = length.of(config)
    blocks = acquisition.blocks(config.load.block_frames)
    return calibrated(found, blocks, acquisition, config).with_finding(length.finding)


def calibrated(
    found: Callable[[Block], BlockMeasurement],
    blocks: Sequence[Block],
    acquisition: Acquisition,
    config: PipelineConfig,
) -> Calibration:
    """Calibrate with `found` on a few blocks; others replace those that cannot be read.

    Raises
    ------
    UlmError
        No block can be read (the first error is raised), or `found` rejects a readable one.
    """
    if not needs_data(acquisition, config):
        return combine([], acquisition, config)
    wanted = spread_out(len(blocks), config.calibrate.blocks)
    measured: list[BlockMeasurement] = []
    used: list[int] = []
    first: UlmError | None = None
    for index in [*wanted, *(k for k in range(len(blocks)) if k not in wanted)]:
        if len(measured) == len(wanted):
            break
        try:
            measured.append(found(blocks[index]))
            used.append(index)
        except (InputError, BlockError) as error:
            if isinstance(error, InputError) and error.path is None:  # not the file's fault
                raise
            first = first or error
    if not measured:
        assert first is not None
        raise first
    return replace(combine(measured, acquisition, config), measured_on=tuple(used))


def with_cut(config: PipelineConfig, first: int, last: int) -> PipelineConfig:
    """The settings with a clutter filter that keeps components `first` to `last`."""
    clutter = config.clutter.replace(svd_range=(first, max(first, last)))
    return config.model_copy(update={"clutter": clutter})


def _measures_cut(config: PipelineConfig) -> bool:
    clutter = config.clutter
    chosen = clutter.svd_range is not None or clutter.svd_automatic or clutter.regions is not None
    return "svd" in clutter.method and not chosen


def _measures_widths(config: PipelineConfig) -> bool:
    return config.psf.source == "auto" and config.psf.fwhm_voxels is None


def _widths(
    measured: Sequence[BlockMeasurement],
    acquisition: Acquisition,
    config: PipelineConfig,
    findings: list[Finding],
    warnings: list[str],
    said: str,
) -> tuple[tuple[float, float, float], str]:
    """Widths in voxels of the acquisition's grid, and how they were determined."""
    grid, psf = acquisition.grid, config.psf
    found = [one.widths for one in measured if one.widths is not None]
    how, sure = "given", ""
    if found and psf.fwhm_voxels is None:
        best = [one for one in found if one.n_bubbles] or found
        each = np.array([one.fwhm_voxels for one in best])
        middle = np.maximum(np.median(each, axis=0), 0.5)
        z, y, x = (float(w) for w in middle)
        bubbles = sum(one.n_bubbles for one in best)
        how = f"{bubbles} isolated bubbles" if bubbles else best[0].how
        if len(best) > 1:
            relative = float((np.ptp(each, axis=0) / middle).max() / 2)
            sure = f"within {100 * relative:.0f} % {said}"
            if relative > _DOUBTFUL:
                warnings.append(
                    "The measured bubble width differs between blocks. If you know the PSF, set "
                    "psf.fwhm_voxels."
                )
        else:
            sure = "one block"
    else:
        z, y, x = psf.widths
        if psf.fwhm_voxels is None and psf.source != "analytic":
            how = "assumed: nothing stands out of the noise"
            warnings.append(
                "No bubbles stand out of the noise, so the PSF could not be measured and a width "
                "of 3 voxels is assumed. Look at the frames, and set psf.fwhm_voxels if you know "
                "it."
            )
    if grid.shape[1] == 1 and psf.fwhm_voxels is None:
        y = x  # a plane carries no information across it
    texts = [
        f"{w * s:.0f} um"
        for w, s, n in zip((z, y, x), grid.spacing_um, grid.shape, strict=True)
        if n > 1
    ]
    findings.append(Finding("width of a bubble", " x ".join(texts) or "unknown", how, sure))
    return (z, y, x), how


def _gaussian(
    widths: tuple[float, float, float],
    how: str,
    working: WorkingGrid,
    acquisition: Acquisition,
    config: PipelineConfig,
) -> Psf:
    """Gaussian PSF of these widths on the working grid, with the carrier sampled there."""
    z, y, x = (max(1.0, width) for width in working.widths(widths))
    settings: PsfConfig = config.psf.replace(fwhm_voxels=(z, y, x))
    step = working.carrier_rad * working.thinning[0] if settings.carrier == "data" else None
    psf = analytic_psf(
        settings, working.grid, acquisition.wavelength_um, acquisition.kind, carrier_rad=step
    )
    source = "analytic Gaussian" if how == "given" else f"Gaussian with widths from {how}"
    return Psf(psf.array, psf.fwhm_voxels, psf.carrier_rad, source, psf.factors)
