"""What was found out about an acquisition before it is worked on: one value object."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.calibrate.working_grid import WorkingGrid
from napari_ulm3d.filtering import Psf

__all__ = ["Calibration", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One number, with how it was found and how sure it is.

    Attributes
    ----------
    name
        What it is.
    value
        With its unit, as a person reads it.
    how
        How it was found.
    sure
        How sure it is; empty for what was given or counted.
    """

    name: str
    value: str
    how: str
    sure: str = ""

    def __str__(self) -> str:
        sure = f"; {self.sure}" if self.sure else ""
        return f"{self.name}: {self.value} ({self.how}{sure})"


@dataclass(frozen=True)
class Calibration:
    """What the stages of a run need to know of the data. It can be pickled.

    Attributes
    ----------
    psf
        The point-spread function on the working grid: it drives the correlation, the
        localizers and the networks.
    working
        From the acquisition's grid to the working grid.
    fwhm_um
        The PSF's widths along z, y, x, micrometres; along an axis of one voxel its spacing.
    svd_first
        First singular component kept; None: the clutter filter drops no components.
    valid_share
        Share of the voxels that hold data.
    noise_by_depth
        Rms of the noise of filtered frames in each plane of the acquisition's grid, along z.
    findings
        The same for a person.
    warnings
        What is doubtful, a sentence each with the setting to look at.
    motion_reference
        (z, y, x) image against which the tissue is displaced; None: motion is left alone.
    measured_on
        Numbers of the blocks that it rests on.
    """

    psf: Psf
    working: WorkingGrid
    fwhm_um: tuple[float, float, float]
    svd_first: int | None
    valid_share: float
    noise_by_depth: tuple[float, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    motion_reference: NDArray[np.float32] | None = None
    measured_on: tuple[int, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Plain values for `run.toml`."""
        facts: dict[str, Any] = {
            "valid_share": self.valid_share,
            "noise_by_depth": [float(f"{level:.4g}") for level in self.noise_by_depth],
            "psf_fwhm_um": list(self.fwhm_um),
            "thinning": list(self.working.thinning),
            "motion": "none" if self.motion_reference is None else "rigid",
            "working_shape": list(self.working.grid.shape),
            "working_spacing_um": list(self.working.grid.spacing_um),
            "carrier_rad": self.working.carrier_rad,
            "findings": [asdict(finding) for finding in self.findings],
        }
        if self.svd_first is not None:
            facts["svd_first"] = self.svd_first
        if self.warnings:
            facts["warnings"] = list(self.warnings)
        return facts

    def with_finding(self, finding: Finding | None) -> Calibration:
        """The same, with one more finding in front; itself for None."""
        return self if finding is None else replace(self, findings=(finding, *self.findings))

    def lines(self) -> list[str]:
        """A line a finding, then the warnings."""
        return [*map(str, self.findings), *self.warnings]
