"""What `calibrate` finds: the numbers, and the small pictures beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import (
    BlockMeasurement,
    Calibration,
    Finding,
    calibrated,
    chosen_length,
    shares_removed,
)
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import Cancelled, ConfigError
from napari_ulm3d.pipeline.blocks import measure, resolved

__all__ = ["Measured", "Row", "measure_acquisition", "rows_of", "with_value"]

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Measured:
    """A calibration and the evidence to check it by.

    Attributes
    ----------
    settings
        The settings with numbers in place of automatic values.
    spectrum_db
        Strongest singular values of the first block that was measured; None without SVD.
    before, after
        (z, x) magnitude of the middle frame of that block, maximum along y, before and after
        the clutter filter.
    """

    acquisition: Acquisition
    calibration: Calibration
    settings: PipelineConfig
    spectrum_db: NDArray[np.float64] | None
    before: NDArray[np.float32]
    after: NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    setting
        Section and name of the setting that it sets; None: read-only.
    value
        Text as shown and edited.
    """

    name: str
    value: str
    how: str
    setting: tuple[str, str] | None = None


def measure_acquisition(
    acquisition: Acquisition, config: PipelineConfig, stop: Callable[[], bool]
) -> Measured:
    """Measure as at the start of a run.

    Raises
    ------
    Cancelled
        `stop` returned True between two blocks.
    UlmError
        No block can be read, or a setting does not fit.
    """
    seen: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64] | None]] = []

    def shares(block: Block) -> dict[int, float]:
        _ask(stop)
        return shares_removed(block)

    def found(block: Block) -> BlockMeasurement:
        _ask(stop)
        measurement, filtered = measure(block, acquisition, config)
        _ask(stop)
        if not seen:
            middle = block.n_frames // 2
            raw = block.source.read(block.start + middle, block.start + middle + 1)[0]
            spectrum = None if measurement.cut is None else measurement.cut.values_db
            seen.append((_flat(raw), _flat(filtered.frames[middle]), spectrum))
        return measurement

    length = chosen_length(shares, acquisition, config)
    config = length.of(config)
    blocks = acquisition.blocks(config.load.block_frames)
    calibration = calibrated(found, blocks, acquisition, config).with_finding(length.finding)
    if not seen:  # every value is given, but the pictures are still useful
        found(blocks[0])
    before, after, spectrum = seen[0]
    settings = resolved(config, calibration, blocks)
    return Measured(acquisition, calibration, settings, spectrum, before, after)


def rows_of(measured: Measured) -> list[Row]:
    """The table: first the editable rows, then the read-only ones."""
    settings, calibration = measured.settings, measured.calibration
    said = {finding.name: finding for finding in calibration.findings}
    rows = [
        Row(
            "frames per block",
            str(settings.load.block_frames),
            _how(said, "frames per block"),
            ("load", "frames_per_block"),
        )
    ]
    if calibration.svd_first is not None:
        how = _how(said, "first component kept") or _how(said, "tissue")
        rows.append(
            Row("first component kept", str(calibration.svd_first), how, ("clutter", "svd_range"))
        )
    rows.append(
        Row(
            "width of a bubble z, y, x, µm",
            " x ".join(f"{width:.4g}" for width in calibration.fwhm_um),
            _how(said, "width of a bubble"),
            ("psf", "fwhm_voxels"),
        )
    )
    rows.append(
        Row(
            "keep every n-th voxel z, y, x",
            " x ".join(str(k) for k in calibration.working.thinning),
            _how(said, "working grid"),
            ("calibrate", "thinning"),
        )
    )
    shown = {"frames per block", "first component kept", "width of a bubble", "working grid"}
    rows += [
        Row(name, finding.value, _how(said, name))
        for name, finding in said.items()
        if name not in shown
    ]
    return rows


def with_value(measured: Measured, setting: tuple[str, str], text: str) -> dict[str, Any]:
    """Parse the text of a table cell into a value for `Session.change`.

    Raises
    ------
    ConfigError
        The text is not one number, or not three.
    """
    numbers = [float(word) for word in _NUMBER.findall(text)]
    name = setting[1]
    wanted = 3 if name in ("fwhm_voxels", "thinning") else 1
    if wanted == 3 and len(numbers) == 1:
        numbers *= 3
    if len(numbers) != wanted:
        example = "152 x 290 x 290" if wanted == 3 else "9"
        raise ConfigError(f"'{text}' is not a value for this row. Enter it as {example}.")
    if name == "fwhm_voxels":
        spacing = measured.acquisition.grid.spacing_um
        voxels = [width / step for width, step in zip(numbers, spacing, strict=True)]
        return {name: tuple(voxels)}
    whole = tuple(round(number) for number in numbers)
    if name == "svd_range":
        return {name: (whole[0], max(whole[0], measured.settings.load.block_frames))}
    return {name: whole if wanted == 3 else whole[0]}


def _how(said: dict[str, Finding], name: str) -> str:
    finding = said.get(name)
    if finding is None:
        return ""
    return f"{finding.how}; {finding.sure}" if finding.sure else finding.how


def _flat(frame: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(np.abs(frame).max(axis=1), np.float32)


def _ask(stop: Callable[[], bool]) -> None:
    if stop():
        raise Cancelled("Measuring was cancelled.")
