"""Everything estimated from an acquisition before it is processed, as one value object."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.calibrate.working_grid import WorkingGrid
from napari_ulm3d.filtering import Psf

__all__ = ["Calibration", "Finding"]


@dataclass(frozen=True)
class Finding:
    """One estimated quantity, its method and its uncertainty.

    Attributes
    ----------
    name
        Name of the quantity.
    value
        Formatted value with its unit.
    how
        Method of estimation.
    sure
        Uncertainty; empty if the value was given or counted.
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
    """Properties of the data that the stages of a run need. It can be pickled.

    Attributes
    ----------
    psf
        The point-spread function on the working grid, used by the correlation, the
        localizers and the networks.
    working
        Conversion from the acquisition's grid to the working grid.
    fwhm_um
        Widths of the PSF along z, y, x in micrometres; across a plane (y), not measured.
    svd_first
        First singular component kept; None: the clutter filter removes no components.
    valid_share
        Share of the voxels that contain data.
    noise_by_depth
        Rms noise of filtered frames in each plane of the acquisition's grid along z.
    findings
        The same as text for the user.
    warnings
        Doubtful estimates, one sentence each, with the setting to check.
    motion_method
        Correction of tissue motion.
    motion_reference
        (z, y, x) reference image for tissue motion; None: motion is not corrected.
    measured_on
        Indices of the blocks that were measured.
    """

    psf: Psf
    working: WorkingGrid
    fwhm_um: tuple[float, float, float]
    svd_first: int | None
    valid_share: float
    noise_by_depth: tuple[float, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    motion_method: Literal["none", "rigid", "deformable"] = "none"
    motion_reference: NDArray[np.float32] | None = None
    measured_on: tuple[int, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Plain values for `run.toml`."""
        facts: dict[str, Any] = {
            "valid_share": self.valid_share,
            "noise_by_depth": [float(f"{level:.4g}") for level in self.noise_by_depth],
            "psf_fwhm_um": list(self.fwhm_um),
            "thinning": list(self.working.thinning),
            "motion": self.motion_method,
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
        """A copy with this finding first; for None, the calibration itself."""
        return self if finding is None else replace(self, findings=(finding, *self.findings))

    def lines(self) -> list[str]:
        """One line per finding, then the warnings."""
        return [*map(str, self.findings), *self.warnings]
