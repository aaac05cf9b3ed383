"""Quantities estimated from the data: valid voxels, noise, PSF, working grid, clutter cut."""

from __future__ import annotations

from napari_ulm3d.calibrate.block_length import (
    BlockLength,
    chosen_length,
    longest_block,
    shares_removed,
)
from napari_ulm3d.calibrate.calibration import Calibration, Finding
from napari_ulm3d.calibrate.noise import noise_by_depth
from napari_ulm3d.calibrate.stage import (
    BlockMeasurement,
    calibrate,
    calibrated,
    combine,
    measure_block,
    needs_data,
    spread_out,
    with_cut,
)
from napari_ulm3d.calibrate.widths import Widths, autocorrelation_widths, measure_widths
from napari_ulm3d.calibrate.working_grid import WorkingGrid, thinning_for

__all__ = [
    "BlockLength",
    "BlockMeasurement",
    "Calibration",
    "Finding",
    "Widths",
    "WorkingGrid",
    "autocorrelation_widths",
    "calibrate",
    "calibrated",
    "chosen_length",
    "combine",
    "longest_block",
    "measure_block",
    "measure_widths",
    "needs_data",
    "noise_by_depth",
    "shares_removed",
    "spread_out",
    "thinning_for",
    "with_cut",
]
